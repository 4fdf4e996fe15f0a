-- Who changed the most files in their last three commits
-- gql
SELECT who, sum(files) AS files FROM (
  SELECT c.author_mapped AS who, f.hash, count(DISTINCT f.path) AS files, max(c.committer_date) AS time
  FROM changes f JOIN commits c USING (hash)
  WHERE f.change_type IN ('A', 'M') AND f.extension IN $code
  GROUP BY who, f.hash
  QUALIFY row_number() OVER (PARTITION BY who ORDER BY time DESC, f.hash) <= 3)
GROUP BY who ORDER BY files DESC, who LIMIT 10
-- clickhouse
SELECT author, sum(files) AS files FROM (
  SELECT author, commit_hash, uniqExact(path) AS files, max(time) AS last
  FROM file_changes
  WHERE change_type IN ('Add', 'Modify') AND file_extension IN $code
  GROUP BY author, commit_hash
  ORDER BY author, last DESC, commit_hash LIMIT 3 BY author)
GROUP BY author ORDER BY files DESC, author LIMIT 10
