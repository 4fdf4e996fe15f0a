-- Names of files of code that one person changed most often
-- gql
SELECT f.name, count(*) AS n
FROM changes f JOIN commits c USING (hash)
WHERE c.author_mapped = $author AND f.extension IN $code
GROUP BY f.name ORDER BY n DESC, f.name LIMIT 10
-- clickhouse
SELECT basename(path) AS name, count() AS n
FROM file_changes
WHERE author = $author AND file_extension IN $code
GROUP BY name ORDER BY n DESC, name LIMIT 10
