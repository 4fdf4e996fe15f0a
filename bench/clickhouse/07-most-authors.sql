-- Current files that most people changed
-- gql
WITH $current_files
SELECT f.path, count(DISTINCT c.author_mapped) AS authors
FROM changes f JOIN commits c USING (hash)
WHERE f.path IN (SELECT path FROM current_files)
GROUP BY f.path ORDER BY authors DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT path, uniqExact(author) AS authors
FROM file_changes
WHERE path IN (current_files)
GROUP BY path ORDER BY authors DESC, path LIMIT 10
