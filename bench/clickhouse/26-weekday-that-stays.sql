-- Days until a line was removed, by the weekday on which it was added
-- gql
SELECT date_part('isodow', a.time) AS weekday, count(*) AS n,
  avg(date_diff('day', a.time, r.time)) AS days
FROM (
  SELECT f.path, ltrim(l.text, chr(32) || chr(9)) AS bare, max(c.committer_date) AS time
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE l.sign = 1 AND l.text ~ '[0-9A-Za-z]|^[[:blank:]]*(//|/[*]|[*] |# )'
  GROUP BY f.path, bare) a
JOIN (
  SELECT f.path, ltrim(l.text, chr(32) || chr(9)) AS bare, max(c.committer_date) AS time
  FROM lines l JOIN changes f USING (change_id) JOIN commits c ON c.position = f.position
  WHERE l.sign = -1 AND l.text ~ '[0-9A-Za-z]|^[[:blank:]]*(//|/[*]|[*] |# )'
  GROUP BY f.path, bare) r ON r.path = a.path AND r.bare = a.bare
WHERE r.time > a.time
GROUP BY weekday ORDER BY weekday
-- clickhouse
SELECT toDayOfWeek(a.time) AS weekday, count() AS n, avg(dateDiff('day', a.time, r.time)) AS days
FROM (
  SELECT path, line, max(time) AS time
  FROM line_changes
  WHERE sign = 1 AND line_type NOT IN ('Punct', 'Empty')
  GROUP BY path, line) a
JOIN (
  SELECT path, line, max(time) AS time
  FROM line_changes
  WHERE sign = -1 AND line_type NOT IN ('Punct', 'Empty')
  GROUP BY path, line) r ON r.path = a.path AND r.line = a.line
WHERE r.time > a.time
GROUP BY weekday ORDER BY weekday
