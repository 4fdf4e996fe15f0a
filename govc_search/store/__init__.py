"""What is durable: the log, and the columnar view that is derived from it.

In the order data flows: `manifest` owns the data directory, `log` holds every record in `frame`s,
`rows` turns records into rows, `mailmap` maps names, `table` keeps the rows in DuckDB, `cursor`
reads them, `graph` answers questions of ancestry over each repository's `history`.
"""
