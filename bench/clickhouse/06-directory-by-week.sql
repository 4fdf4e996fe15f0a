-- Lines, commits and authors of a directory, by week
-- gql
SELECT date_trunc('week', c.committer_date) AS week, sum(f.insertions) AS added,
  sum(f.deletions) AS deleted, count(DISTINCT f.hash) AS commits,
  count(DISTINCT c.author_mapped) AS authors
FROM changes f JOIN commits c USING (hash)
WHERE starts_with(f.path, $directory)
GROUP BY week ORDER BY week
-- clickhouse
SELECT toStartOfWeek(time, 1) AS week, sum(lines_added) AS added, sum(lines_deleted) AS deleted,
  uniqExact(commit_hash) AS commits, uniqExact(author) AS authors
FROM file_changes
WHERE startsWith(path, $directory)
GROUP BY week ORDER BY week
