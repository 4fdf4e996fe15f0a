-- Lines of current files that were left alone the longest
-- gql
WITH $current_files
SELECT min(l.path) AS file, ltrim(l.text, chr(32) || chr(9)) AS bare, max(c.committer_date) AS latest
FROM lines l JOIN commits c USING (hash)
WHERE l.path IN (SELECT path FROM current_files)
GROUP BY bare ORDER BY latest, bare LIMIT 10
-- clickhouse
WITH $current_files
SELECT min(path) AS file, line, max(time) AS latest
FROM line_changes
WHERE path IN (current_files)
GROUP BY line ORDER BY latest, line LIMIT 10
