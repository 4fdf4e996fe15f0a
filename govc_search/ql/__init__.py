"""GQL, from text to answer; the modules in the order data flows.

X
MATCH, `binder` gives every name a table, a column and a type (`bound`), `planner` decides which
index serves which predicate (`plan`), `compiler` writes one DuckDB statement (its text holds no
byte of the user's), `execute` runs it, `explain` shows the plan. `box` turns the search box
into GQL. What these need from the stores is declared in `protocols`.
"""

__all__: list[str] = []
