-- Files in which a common text became more or less frequent
-- an index helps
-- gql
SELECT hash, path FROM changes WHERE PICKAXE($common) ORDER BY hash, path
-- clickhouse
SELECT commit_hash, path FROM line_changes WHERE position(line, $common) > 0
GROUP BY commit_hash, path HAVING sum(sign * toInt64(countSubstrings(line, $common))) != 0
ORDER BY commit_hash, path
