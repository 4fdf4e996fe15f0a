-- Share of comments in added code, by weeks since the author's first
-- gql
WITH weeks AS (
  SELECT c.author_mapped AS who, date_trunc('week', c.committer_date) AS week,
    count(*) FILTER (WHERE l.text ~ '[0-9A-Za-z]' AND NOT l.text ~ '^[[:blank:]]*(//|/[*]|[*] |# )') AS code, count(*) FILTER (WHERE l.text ~ '^[[:blank:]]*(//|/[*]|[*] |# )') AS comments
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE f.extension IN $code AND l.sign = 1
  GROUP BY who, week),
numbered AS (
  SELECT date_diff('week', min(week) OVER (PARTITION BY who), week) AS number, code, comments
  FROM weeks)
SELECT number, avg(comments / (comments + code)) AS share
FROM numbered
WHERE code > 20 AND number % 10 = 0
GROUP BY number ORDER BY number LIMIT 20
-- clickhouse
WITH weeks AS (
  SELECT author, toStartOfWeek(time, 1) AS week, countIf(line_type = 'Code') AS code,
    countIf(line_type = 'Comment') AS comments
  FROM line_changes
  WHERE file_extension IN $code AND sign = 1
  GROUP BY author, week),
numbered AS (
  SELECT dateDiff('week', min(week) OVER (PARTITION BY author), week) AS number, code, comments
  FROM weeks)
SELECT number, avg(comments / (comments + code)) AS share
FROM numbered
WHERE code > 20 AND number % 10 = 0
GROUP BY number ORDER BY number LIMIT 20
