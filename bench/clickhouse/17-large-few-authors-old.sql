-- The same, at least a year old
-- gql
WITH $current_files
SELECT min(c.committer_date) AS first, f.path, sum(f.insertions) - sum(f.deletions) AS lines,
  count(DISTINCT c.author_mapped) AS authors,
  (sum(f.insertions) - sum(f.deletions)) / count(DISTINCT c.author_mapped) AS each
FROM changes f JOIN commits c USING (hash)
WHERE f.path IN (SELECT path FROM current_files) AND f.extension IN $code
GROUP BY f.path
HAVING first <= TIMESTAMP $year_ago
ORDER BY each DESC, f.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT min(time) AS first, path, sum(lines_added) - sum(lines_deleted) AS lines, uniqExact(author) AS authors,
  lines / authors AS each
FROM file_changes
WHERE path IN (current_files) AND file_extension IN $code
GROUP BY path
HAVING first <= toDateTime($year_ago)
ORDER BY each DESC, path LIMIT 10
