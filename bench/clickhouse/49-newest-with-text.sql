-- The newest commits that touch a text
-- an index helps
-- gql
SELECT hash, committer_date FROM commits WHERE CHANGED($common)
ORDER BY committer_date DESC, hash LIMIT 10
-- clickhouse
SELECT commit_hash, max(time) AS latest FROM line_changes WHERE position(line, $common) > 0
GROUP BY commit_hash ORDER BY latest DESC, commit_hash LIMIT 10
