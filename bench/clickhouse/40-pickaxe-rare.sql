-- Files in which a rare text became more or less frequent
-- an index helps
-- gql
SELECT hash, path FROM changes WHERE PICKAXE($rare) ORDER BY hash, path
-- clickhouse
SELECT commit_hash, path FROM line_changes WHERE position(line, $rare) > 0
GROUP BY commit_hash, path HAVING sum(sign * toInt64(countSubstrings(line, $rare))) != 0
ORDER BY commit_hash, path
