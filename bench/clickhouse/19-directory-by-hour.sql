-- Commits and lines of a directory, by hour
-- gql
SELECT hour(c.committer_date) AS part, count(DISTINCT f.hash) AS commits, sum(f.insertions) AS added,
  sum(f.deletions) AS deleted
FROM changes f JOIN commits c USING (hash)
WHERE starts_with(f.path, $directory)
GROUP BY part ORDER BY part
-- clickhouse
SELECT toHour(time) AS part, uniqExact(commit_hash) AS commits, sum(lines_added) AS added,
  sum(lines_deleted) AS deleted
FROM file_changes
WHERE startsWith(path, $directory)
GROUP BY part ORDER BY part
