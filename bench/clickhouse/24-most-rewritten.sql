-- Current files of code with the most changed lines, counted line by line
-- gql
WITH $current_files
SELECT f.path, count(*) AS n
FROM lines l JOIN changes f USING (change_id)
WHERE f.extension IN $code AND f.path IN (SELECT path FROM current_files)
GROUP BY f.path ORDER BY n DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT path, count() AS n
FROM line_changes
WHERE file_extension IN $code AND path IN (current_files)
GROUP BY path ORDER BY n DESC, path LIMIT 10
