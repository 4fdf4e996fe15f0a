-- The paths whose last change is no removal and no move away; stands for $current_files
-- gql
current_files AS (
  SELECT e.path FROM (
    SELECT f.path, c.committer_date AS time, f.change_type = 'D' AS gone
    FROM changes f JOIN commits c USING (hash)
    UNION ALL
    SELECT f.old_path, c.committer_date, TRUE
    FROM changes f JOIN commits c USING (hash) WHERE f.change_type = 'R') e
  GROUP BY e.path
  HAVING max(e.time) FILTER (WHERE NOT e.gone)
    > coalesce(max(e.time) FILTER (WHERE e.gone), TIMESTAMP '1970-01-01'))
-- clickhouse
current_files AS (
  SELECT path FROM (
    SELECT path, time, change_type = 'Delete' AS gone FROM file_changes
    UNION ALL
    SELECT old_path, time, true FROM file_changes WHERE change_type = 'Rename')
  GROUP BY path
  HAVING maxIf(time, NOT gone) > maxIf(time, gone))
