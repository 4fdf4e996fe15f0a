-- Commits and files with a middling text in a changed line
-- an index helps
-- gql
SELECT hash, path FROM changes WHERE CHANGED($middle) ORDER BY hash, path
-- clickhouse
SELECT DISTINCT commit_hash, path FROM line_changes WHERE position(line, $middle) > 0
ORDER BY commit_hash, path
