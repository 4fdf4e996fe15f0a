-- Changed lines with a rare text, counted
-- an index helps
-- gql
SELECT count(*) FROM lines WHERE CONTAINS(text, $rare)
-- clickhouse
SELECT count() FROM line_changes WHERE position(line, $rare) > 0
