-- Commits with a word in the subject
-- an index helps
-- gql
SELECT hash FROM commits WHERE NOT is_merge AND MATCH(subject, $word) ORDER BY hash
-- clickhouse
SELECT hash FROM commits WHERE hasTokenCaseInsensitive(message, $word) ORDER BY hash
