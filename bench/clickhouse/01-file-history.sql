-- The last changes of one file
-- an index helps
-- gql
SELECT c.committer_date AS time, left(f.hash, 11) AS commit, f.change_type, c.author_mapped, f.path,
  coalesce(f.old_path, '') AS old_path, f.insertions, f.deletions, c.subject
FROM changes f JOIN commits c USING (hash)
WHERE f.path = $path
ORDER BY time DESC, f.hash LIMIT 10
-- clickhouse
SELECT time, substring(commit_hash, 1, 11) AS commit, substring(toString(change_type), 1, 1),
  author, path, old_path, lines_added, lines_deleted, commit_message
FROM file_changes
WHERE path = $path
ORDER BY time DESC, commit_hash LIMIT 10
