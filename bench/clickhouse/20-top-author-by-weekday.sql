-- Who commits most on each weekday
-- gql
SELECT date_part('isodow', committer_date) AS weekday, author_mapped AS who, count(*) AS n
FROM commits
WHERE NOT is_merge
GROUP BY weekday, who
QUALIFY row_number() OVER (PARTITION BY weekday ORDER BY n DESC, who) = 1
ORDER BY weekday
-- clickhouse
SELECT toDayOfWeek(time) AS weekday, author, count() AS n
FROM commits
GROUP BY weekday, author
ORDER BY weekday, n DESC, author LIMIT 1 BY weekday
