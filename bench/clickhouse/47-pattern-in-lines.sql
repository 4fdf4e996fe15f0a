-- Commits with a changed line that matches a regular expression
-- an index helps
-- gql
SELECT hash FROM commits WHERE CHANGED_RE($pattern) ORDER BY hash
-- clickhouse
SELECT DISTINCT commit_hash FROM line_changes WHERE match(line, $pattern) ORDER BY commit_hash
