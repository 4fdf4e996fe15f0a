-- Changed lines with a middling text, counted
-- an index helps
-- gql
SELECT count(*) FROM lines WHERE CONTAINS(text, $middle)
-- clickhouse
SELECT count() FROM line_changes WHERE position(line, $middle) > 0
