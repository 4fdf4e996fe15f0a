-- Current files with the most changes
-- gql
WITH $current_files
SELECT count(*) AS n, f.path, max(c.committer_date) AS latest
FROM changes f JOIN commits c USING (hash)
WHERE f.path IN (SELECT path FROM current_files)
GROUP BY f.path ORDER BY n DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT count() AS n, path, max(time) AS latest
FROM file_changes
WHERE path IN (current_files)
GROUP BY path ORDER BY n DESC, path LIMIT 10
