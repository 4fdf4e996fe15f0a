-- Age of current files, by the two uppermost directories
-- gql
WITH $current_files,
ages AS (
  SELECT f.path, date_diff('day', min(c.committer_date), TIMESTAMP $newest) AS days
  FROM changes f JOIN commits c USING (hash)
  WHERE f.path IN (SELECT path FROM current_files) AND f.extension IN $code
  GROUP BY f.path)
SELECT split_part(path, '/', 1) AS root, split_part(path, '/', 2) AS inner_part, avg(days) AS mean,
  min(days) AS least, max(days) AS most, count(*) AS n
FROM ages
GROUP BY root, inner_part
QUALIFY row_number() OVER (PARTITION BY root ORDER BY n DESC, inner_part) <= 5
ORDER BY root, n DESC, inner_part
-- clickhouse
WITH $current_files,
ages AS (
  SELECT path, dateDiff('day', min(time), toDateTime($newest)) AS days
  FROM file_changes
  WHERE path IN (current_files) AND file_extension IN $code
  GROUP BY path)
SELECT splitByChar('/', path)[1] AS root, splitByChar('/', path)[2] AS inner_part,
  avg(days) AS mean, min(days) AS least, max(days) AS most, count() AS n
FROM ages
GROUP BY root, inner_part
ORDER BY root, n DESC, inner_part LIMIT 5 BY root
