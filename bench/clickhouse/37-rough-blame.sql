-- The last to add each line number of a file
-- an index helps
-- gql
SELECT DISTINCT ON (l.new_line) l.new_line, c.author_mapped, ltrim(l.text, chr(32) || chr(9)) AS line
FROM lines l JOIN commits c USING (hash)
WHERE l.path = $path AND l.sign = 1
ORDER BY l.new_line, c.committer_date DESC, l.hash LIMIT 20
-- clickhouse
SELECT line_number_new, author, line
FROM line_changes
WHERE path = $path AND sign = 1
ORDER BY line_number_new, time DESC, commit_hash LIMIT 1 BY line_number_new LIMIT 20
