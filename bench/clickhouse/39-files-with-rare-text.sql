-- Commits and files with a rare text in a changed line
-- an index helps
-- gql
SELECT hash, path FROM changes WHERE CHANGED($rare) ORDER BY hash, path
-- clickhouse
SELECT DISTINCT commit_hash, path FROM line_changes WHERE position(line, $rare) > 0
ORDER BY commit_hash, path
