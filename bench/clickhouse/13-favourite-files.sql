-- Current files that one person changed most often
-- gql
WITH $current_files
SELECT f.path, count(*) AS n
FROM changes f JOIN commits c USING (hash)
WHERE c.author_mapped = $author AND f.path IN (SELECT path FROM current_files)
GROUP BY f.path ORDER BY n DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT path, count() AS n
FROM file_changes
WHERE author = $author AND path IN (current_files)
GROUP BY path ORDER BY n DESC, path LIMIT 10
