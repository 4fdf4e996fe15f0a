-- The longest run of days with a commit, by author
-- gql
WITH days AS (
  SELECT DISTINCT author_mapped AS who, CAST(committer_date AS DATE) AS day
  FROM commits WHERE NOT is_merge),
runs AS (
  SELECT who, count(*) AS run FROM (
    SELECT who, date_diff('day', DATE '1970-01-01', day)
      - row_number() OVER (PARTITION BY who ORDER BY day) AS number
    FROM days)
  GROUP BY who, number)
SELECT who, max(run) AS longest FROM runs GROUP BY who ORDER BY longest DESC, who LIMIT 10
-- clickhouse
WITH arraySort(groupUniqArray(toUInt16(toDate(time)))) AS days
SELECT author,
  arrayMax(arrayMap(run -> length(run), arraySplit((day, gap) -> gap != 1, days, arrayDifference(days))))
    AS longest
FROM commits GROUP BY author ORDER BY longest DESC, author LIMIT 10
