-- The lines that were added at the top of one file
-- an index helps
-- gql
SELECT c.committer_date AS time, left(l.hash, 11) AS commit, l.new_line, c.author_mapped,
  ltrim(l.text, chr(32) || chr(9)) AS line
FROM lines l JOIN commits c USING (hash)
WHERE l.path = $path AND l.sign = 1
ORDER BY l.new_line, time, l.hash LIMIT 10
-- clickhouse
SELECT time, substring(commit_hash, 1, 11) AS commit, line_number_new, author, line
FROM line_changes
WHERE path = $path AND sign = 1
ORDER BY line_number_new, time, commit_hash LIMIT 10
