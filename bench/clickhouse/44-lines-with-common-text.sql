-- Changed lines with a common text, counted
-- an index helps
-- gql
SELECT count(*) FROM lines WHERE CONTAINS(text, $common)
-- clickhouse
SELECT count() FROM line_changes WHERE position(line, $common) > 0
