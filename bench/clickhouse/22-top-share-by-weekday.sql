-- Whose share of the changed lines of a weekday is largest, in the last year
-- gql
WITH work AS (
  SELECT date_part('isodow', c.committer_date) AS weekday, c.author_mapped AS who,
    sum(f.insertions) + sum(f.deletions) AS lines
  FROM changes f JOIN commits c USING (hash)
  WHERE c.committer_date > $year_ago
  GROUP BY weekday, who)
SELECT weekday, who, lines / sum(lines) OVER (PARTITION BY weekday) AS share
FROM work
QUALIFY row_number() OVER (PARTITION BY weekday ORDER BY lines DESC, who) = 1
ORDER BY weekday
-- clickhouse
SELECT best.weekday, best.author, best.lines / whole.lines AS share
FROM (
  SELECT toDayOfWeek(time) AS weekday, author, sum(lines_added) + sum(lines_deleted) AS lines
  FROM file_changes WHERE time > toDateTime($year_ago)
  GROUP BY weekday, author
  ORDER BY weekday, lines DESC, author LIMIT 1 BY weekday) best
JOIN (
  SELECT toDayOfWeek(time) AS weekday, sum(lines_added) + sum(lines_deleted) AS lines
  FROM file_changes WHERE time > toDateTime($year_ago)
  GROUP BY weekday) whole ON whole.weekday = best.weekday
ORDER BY best.weekday
