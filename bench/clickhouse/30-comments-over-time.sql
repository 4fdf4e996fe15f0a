-- Code and the rest, by author and week
-- gql
SELECT c.author_mapped AS who, date_trunc('week', c.committer_date) AS week,
  count(*) FILTER (WHERE l.text ~ '[0-9A-Za-z]' AND NOT l.text ~ '^[[:blank:]]*(//|/[*]|[*] |# )') AS code, count(*) AS lines
FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
GROUP BY who, week ORDER BY who, week LIMIT 10
-- clickhouse
SELECT author, toStartOfWeek(time, 1) AS week, countIf(line_type = 'Code') AS code, count() AS lines
FROM line_changes
GROUP BY author, week ORDER BY author, week LIMIT 10
