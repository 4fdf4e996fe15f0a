-- Current files of code whose removed lines had lived longest
-- gql
WITH $current_files
SELECT a.path, avg(date_diff('day', a.time, r.time)) AS days
FROM (
  SELECT f.path, ltrim(l.text, chr(32) || chr(9)) AS bare, max(c.committer_date) AS time
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE l.sign = 1 AND l.text ~ '[0-9A-Za-z]|^[[:blank:]]*(//|/[*]|[*] |# )' AND f.extension IN $code
    AND f.path IN (SELECT path FROM current_files)
  GROUP BY f.path, bare) a
JOIN (
  SELECT f.path, ltrim(l.text, chr(32) || chr(9)) AS bare, max(c.committer_date) AS time
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE l.sign = -1 AND l.text ~ '[0-9A-Za-z]|^[[:blank:]]*(//|/[*]|[*] |# )' AND f.extension IN $code
    AND f.path IN (SELECT path FROM current_files)
  GROUP BY f.path, bare) r ON r.path = a.path AND r.bare = a.bare
WHERE r.time > a.time
GROUP BY a.path ORDER BY days DESC, a.path LIMIT 10
-- clickhouse
WITH $current_files
SELECT a.path AS path, avg(dateDiff('day', a.time, r.time)) AS days
FROM (
  SELECT path, line, max(time) AS time
  FROM line_changes
  WHERE sign = 1 AND line_type NOT IN ('Punct', 'Empty') AND file_extension IN $code
    AND path IN (current_files)
  GROUP BY path, line) a
JOIN (
  SELECT path, line, max(time) AS time
  FROM line_changes
  WHERE sign = -1 AND line_type NOT IN ('Punct', 'Empty') AND file_extension IN $code
    AND path IN (current_files)
  GROUP BY path, line) r ON r.path = a.path AND r.line = a.line
WHERE r.time > a.time
GROUP BY path ORDER BY days DESC, path LIMIT 10
