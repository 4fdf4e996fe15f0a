-- Commits with a text in the subject
-- an index helps
-- gql
SELECT hash FROM commits WHERE NOT is_merge AND CONTAINS(subject, $subject_text) ORDER BY hash
-- clickhouse
SELECT hash FROM commits WHERE position(message, $subject_text) > 0 ORDER BY hash
