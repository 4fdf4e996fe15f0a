-- Changes of a file under all names that it had
-- an index helps
-- gql
WITH RECURSIVE names(path, depth) AS (
  SELECT $renamed, 0
  UNION ALL
  SELECT f.old_path, n.depth + 1 FROM names n JOIN changes f ON f.path = n.path
  WHERE f.change_type = 'R' AND n.depth < 5)
SELECT c.committer_date AS time, left(f.hash, 11) AS commit, f.change_type, c.author_mapped, f.path, c.subject
FROM changes f JOIN commits c USING (hash)
WHERE f.path IN (SELECT path FROM names)
ORDER BY time DESC, f.hash, f.path
-- clickhouse
WITH RECURSIVE names AS (
  SELECT $renamed AS path, 0 AS depth
  UNION ALL
  SELECT toString(f.old_path) AS path, n.depth + 1 AS depth
  FROM names n JOIN file_changes f ON f.path = n.path
  WHERE f.change_type = 'Rename' AND n.depth < 5)
SELECT time, substring(commit_hash, 1, 11) AS commit, substring(toString(change_type), 1, 1), author,
  path, commit_message
FROM file_changes
WHERE path IN (SELECT path FROM names)
ORDER BY time DESC, commit_hash, path
