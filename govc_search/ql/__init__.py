"""GQL, from text to answer; the modules in the order data flows.

`parser` turns text into a syntax tree (`ast`, made by `builder`), `match` does so for the little
language inside MATCH. `binder` gives every name a table, a column and a type (`bound`):
`expressions` operators, `names` columns, `calls` functions, `predicates` what asks for text and
history. `planner` decides which index serves which predicate (`plan`), `compiler` writes one
DuckDB statement (its text holds no byte of the user's), `execute` runs it or shows a `page` of
the text index, `explain` shows the plan. `box` turns the search box into GQL. While a query
is being written, `tokens` reads as much of it as there is, `surroundings` finds what its names may
mean, and `completion` what may come next. What all these need from the stores is declared in
`protocols`.
"""

__all__: list[str] = []
