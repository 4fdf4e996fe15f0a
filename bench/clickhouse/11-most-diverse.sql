-- Who changed the most files of code
-- gql
SELECT c.author_mapped AS who, count(DISTINCT f.path) AS files
FROM changes f JOIN commits c USING (hash)
WHERE f.change_type IN ('A', 'M') AND f.extension IN $code
GROUP BY who ORDER BY files DESC, who LIMIT 10
-- clickhouse
SELECT author, uniqExact(path) AS files
FROM file_changes
WHERE change_type IN ('Add', 'Modify') AND file_extension IN $code
GROUP BY author ORDER BY files DESC, author LIMIT 10
