-- Commits by the day of the week
-- gql
SELECT date_part('isodow', committer_date) AS weekday, count(*) AS n
FROM commits WHERE NOT is_merge
GROUP BY weekday ORDER BY weekday
-- clickhouse
SELECT toDayOfWeek(time) AS weekday, count() AS n
FROM commits
GROUP BY weekday ORDER BY weekday
