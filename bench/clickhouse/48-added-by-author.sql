-- Who added lines with a text
-- an index helps
-- gql
SELECT c.author_mapped AS who, count(*) AS n
FROM lines l JOIN commits c USING (hash)
WHERE l.sign = 1 AND CONTAINS(l.text, $middle)
GROUP BY who ORDER BY n DESC, who
-- clickhouse
SELECT author, count() AS n FROM line_changes
WHERE sign = 1 AND position(line, $middle) > 0
GROUP BY author ORDER BY n DESC, author
