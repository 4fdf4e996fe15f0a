-- Files in which a middling text became more or less frequent
-- an index helps
-- gql
SELECT hash, path FROM changes WHERE PICKAXE($middle) ORDER BY hash, path
-- clickhouse
SELECT commit_hash, path FROM line_changes WHERE position(line, $middle) > 0
GROUP BY commit_hash, path HAVING sum(sign * toInt64(countSubstrings(line, $middle))) != 0
ORDER BY commit_hash, path
