-- Current files of which half was rewritten most often
-- gql
WITH $current_files,
sizes AS (
  SELECT f.path, f.hash, c.author_mapped AS author, c.committer_date AS time, f.change_type,
    f.insertions AS added, f.deletions AS deleted,
    sum(f.insertions - f.deletions) OVER (PARTITION BY f.path ORDER BY c.committer_date) AS size
  FROM changes f JOIN commits c USING (hash)
  WHERE f.change_type IN ('A', 'M') AND f.extension IN $code
    AND f.path IN (SELECT path FROM current_files)),
rewrites AS (
  SELECT path, hash, author, time,
    lag(time, 1, time) OVER (PARTITION BY path ORDER BY time, hash) AS previous,
    lag(author, 1, author) OVER (PARTITION BY path ORDER BY time, hash) AS previous_author
  FROM sizes
  WHERE change_type = 'M' AND size > 50 AND added >= 0.5 * size AND deleted >= 0.5 * size)
SELECT path, count(*) AS n FROM rewrites GROUP BY path ORDER BY n DESC, path LIMIT 10
-- clickhouse
WITH $current_files,
sizes AS (
  SELECT path, commit_hash AS hash, author, time, change_type, lines_added AS added,
    lines_deleted AS deleted,
    sum(toInt64(lines_added) - lines_deleted) OVER (PARTITION BY path ORDER BY time) AS size
  FROM file_changes
  WHERE change_type IN ('Add', 'Modify') AND file_extension IN $code
    AND path IN (current_files)),
rewrites AS (
  SELECT path, hash, author, time,
    lagInFrame(time, 1, time) OVER (PARTITION BY path ORDER BY time, hash) AS previous,
    lagInFrame(author, 1, author) OVER (PARTITION BY path ORDER BY time, hash) AS previous_author
  FROM sizes
  WHERE change_type = 'Modify' AND size > 50 AND added >= 0.5 * size AND deleted >= 0.5 * size)
SELECT path, count() AS n FROM rewrites GROUP BY path ORDER BY n DESC, path LIMIT 10
