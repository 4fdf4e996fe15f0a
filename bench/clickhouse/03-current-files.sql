-- How many files are there now
-- gql
WITH $current_files
SELECT count(*) FROM current_files
-- clickhouse
WITH $current_files
SELECT count() FROM current_files
