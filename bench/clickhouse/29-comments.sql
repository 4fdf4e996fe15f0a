-- Share of comments in what people change
-- gql
SELECT who, avg(comments / (comments + code)) AS share, sum(code) AS code FROM (
  SELECT c.author_mapped AS who, f.hash, count(*) FILTER (WHERE l.text ~ '^[[:blank:]]*(//|/[*]|[*] |# )') AS comments,
    count(*) FILTER (WHERE l.text ~ '[0-9A-Za-z]' AND NOT l.text ~ '^[[:blank:]]*(//|/[*]|[*] |# )') AS code
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  GROUP BY who, f.hash)
WHERE comments + code > 0
GROUP BY who ORDER BY code DESC, who LIMIT 10
-- clickhouse
SELECT author, avg(comments / (comments + code)) AS share, sum(code) AS total FROM (
  SELECT author, commit_hash, countIf(line_type = 'Comment') AS comments,
    countIf(line_type = 'Code') AS code
  FROM line_changes
  GROUP BY author, commit_hash)
WHERE comments + code > 0
GROUP BY author ORDER BY total DESC, author LIMIT 10
