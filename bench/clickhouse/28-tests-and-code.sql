-- Tests and code, by author
-- gql
SELECT c.author_mapped AS who,
  count(*) FILTER (WHERE f.extension IN $code AND starts_with(f.path, $directory)) AS test,
  count(*) FILTER (WHERE f.extension IN $code AND NOT starts_with(f.path, $directory)) AS code
FROM changes f JOIN commits c USING (hash)
GROUP BY who HAVING code > 20 ORDER BY code DESC, who LIMIT 20
-- clickhouse
SELECT author, countIf(file_extension IN $code AND startsWith(path, $directory)) AS test,
  countIf(file_extension IN $code AND NOT startsWith(path, $directory)) AS code
FROM file_changes
GROUP BY author HAVING code > 20 ORDER BY code DESC, author LIMIT 20
