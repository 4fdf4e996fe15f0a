-- Large current files with few authors
-- gql
WITH $current_files
SELECT f.path, sum(f.insertions) - sum(f.deletions) AS lines,
  count(DISTINCT c.author_mapped) AS authors,
  (sum(f.insertions) - sum(f.deletions)) / count(DISTINCT c.author_mapped) AS each
FROM changes f JOIN commits c USING (hash)
WHERE f.path IN (SELECT path FROM current_files)
GROUP BY f.path
ORDER BY each DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT path, sum(lines_added) - sum(lines_deleted) AS lines, uniqExact(author) AS authors,
  lines / authors AS each
FROM file_changes
WHERE path IN (current_files)
GROUP BY path
ORDER BY each DESC, path LIMIT 10
