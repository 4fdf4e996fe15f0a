-- Current files of code with the most changed lines
-- gql
WITH $current_files
SELECT path, sum(insertions) + sum(deletions) AS modified
FROM changes
WHERE path IN (SELECT path FROM current_files) AND extension IN $code
GROUP BY path ORDER BY modified DESC, path LIMIT 10
-- clickhouse
WITH $current_files
SELECT path, sum(lines_added) + sum(lines_deleted) AS modified
FROM file_changes
WHERE path IN (current_files) AND file_extension IN $code
GROUP BY path ORDER BY modified DESC, path LIMIT 10
