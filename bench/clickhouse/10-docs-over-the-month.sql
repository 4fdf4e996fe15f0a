-- Share of documentation among added lines, by the day of the month
-- gql
SELECT day, docs / (code + docs) AS share FROM (
  SELECT day(c.committer_date) AS day, count(*) FILTER (WHERE f.extension IN $code) AS code,
    count(*) FILTER (WHERE f.extension IN $docs) AS docs
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE l.sign = 1 AND (f.extension IN $code OR f.extension IN $docs)
  GROUP BY day)
ORDER BY day
-- clickhouse
SELECT day, docs / (code + docs) AS share FROM (
  SELECT toDayOfMonth(time) AS day, countIf(file_extension IN $code) AS code,
    countIf(file_extension IN $docs) AS docs
  FROM line_changes
  WHERE sign = 1 AND (file_extension IN $code OR file_extension IN $docs)
  GROUP BY day)
ORDER BY day
