"""Writes one DuckDB statement for a plan. No byte of the user's is in it.

Tables are `t<n>`, columns keep their catalog names, results are `c<n>`, index results are
relations `x<n>` and `g<n>`; every value is a bound parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from govc_search import catalog, fragments, textquery
from govc_search.ql import bound, faults
from govc_search.ql.plan import Exactness, GraphFunction, Plan, TextScan
from govc_search.ql.relations import nullable, relations, scans

__all__ = ["ScannedText", "Statement", "compile_plan"]

# Aggregates that show the order of their rows.
_IN_ORDER = ("list(", "string_agg(", "first(", "last(", "any_value(")
# Window functions whose results differ between rows that their order does not tell apart.
_PLACES = ("row_number(", "ntile(", "lag(", "lead(")
# Those that pick a row of the frame, of which some may be equal in the order.
_PICKS = ("first_value(", "last_value(", "nth_value(")
_OCCURRENCES = "((length({0}) - length(replace({0}, {1}, ''))) / length({1}))"

# A base column of a scan, as its conditions name it.
_BASE = re.compile(r"\bb\.(\w+)")
# What is read from hits that bring a column, in place of what is read from the table.
_BROUGHT = {
    "message": (("b.message", "{}.message"), ("b.body", "substr({}.message, b.body_start)")),
    "subject": (("b.subject", "{}.subject"),),
}


@dataclass(frozen=True, slots=True)
class ScannedText:
    """A function to register: the text query over the given fields, one argument each."""

    name: str
    node: textquery.Node
    fields: tuple[str, ...]


@dataclass(slots=True)
class Statement:
    """The SQL, its parameters, the functions it calls and the lookups (of the schema) it joins."""

    sql: str
    parameters: dict[str, object]
    functions: list[ScannedText] = field(default_factory=list)
    lookups: tuple[str, ...] = ()
    graph_functions: tuple[GraphFunction, ...] = ()
    # The expressions that say so where they fail, by their numbers.
    sites: list[bound.Apply | bound.Subquery] = field(default_factory=list)
    # Searches whose only hit is a parameter of that name.
    singles: tuple[str, ...] = ()


def compile_plan(
    plan: Plan, as_of: int, now: datetime, checks: frozenset[str] = frozenset()
) -> Statement:
    """Returns the statement of a plan at a snapshot; its columns are c0, c1, ...

    `checks` are those of `faults`, for a statement that has failed without them.
    """
    compiler = _Compiler(plan, checks)
    sql = compiler.query(plan.query)
    parameters = dict(compiler.parameters)
    if "$as_of" in sql:
        parameters["as_of"] = as_of
    if "$now" in sql:
        parameters["now"] = now
    singles = tuple(scan.name for scan in plan.text_scans if f"${scan.name} " in sql)
    lookups = tuple(name for name in catalog.LOOKUPS if f" JOIN {name} " in sql)
    called = tuple(f for f in plan.functions.values() if f.scan is None)
    return Statement(sql, parameters, compiler.functions, lookups, called, compiler.sites, singles)


def _quote(name: str) -> str:
    return f'"{name}"'


class _Compiler:
    def __init__(self, plan: Plan, checks: frozenset[str]) -> None:
        self.plan = plan
        self.checks = checks
        self.sites: list[bound.Apply | bound.Subquery] = []
        self.parameters: dict[str, object] = {}
        self._known: dict[tuple[str, object], str] = {}
        self.functions: list[ScannedText] = []
        # Columns that each scan has to deliver; filled while expressions are written, so FROM
        # is written last.
        self.used: dict[int, dict[str, str]] = {}
        self.joins: dict[int, set[str]] = {}
        # Conditions that are asked where a scan reads its rows, written as those of a WHERE.
        self.own: dict[int, list[str]] = {}
        # Relations with the changes that a scan of hunks can show at all.
        self.found: dict[int, list[str]] = {}
        self.nullable = nullable(plan.query)
        # The SELECTs that are being written, the innermost last.
        self.selects: list[bound.BoundSelect] = []

    # Values

    def value(self, constant: bound.Constant) -> str:
        match constant.value:
            case None:
                return "NULL"
            case True:
                return "TRUE"
            case False:
                return "FALSE"
            case int() if abs(constant.value) < 1 << 63:
                return str(constant.value)
        # Equal constants share a parameter: DuckDB then sees that SELECT and GROUP BY agree.
        key = (constant.type, constant.value)
        if key not in self._known:
            name = f"p{len(self._known)}"
            self._known[key] = f"${name}"
            value = constant.value
            self.parameters[name] = list(value) if isinstance(value, tuple) else value
        return self._known[key]

    def text(self, value: str) -> str:
        return self.value(bound.Constant(value, "TEXT"))

    # Queries

    def query(self, query: bound.BoundQuery) -> str:
        sql = self.body(query.body, query.order_by)
        if query.ctes:
            ctes = []
            for cte in query.ctes:
                names = ", ".join(f"c{i}" for i in range(len(cte.query.names)))
                ctes.append(f"w{cte.number}({names}) AS ({self.query(cte.query)})")
            word = "WITH RECURSIVE" if any(c.recursive for c in query.ctes) else "WITH"
            sql = f"{word} {', '.join(ctes)} {sql}"
        if query.limit is not None:
            sql += f" LIMIT {query.limit}"
        if query.offset:
            sql += f" OFFSET {query.offset}"
        return sql

    def body(self, body: bound.Body, order: tuple[bound.OrderKey, ...] = ()) -> str:
        match body:
            case bound.BoundSelect():
                return self.select(body, order)
            case bound.BoundValues():
                rows = ", ".join("(" + ", ".join(self.expr(e) for e in r) + ")" for r in body.rows)
                names = ", ".join(f"c{i}" for i in range(len(body.names)))
                return f"SELECT * FROM (VALUES {rows}) AS v({names})" + self.whole_order(
                    body, order
                )
            case bound.BoundSet():
                left, right = self.body(body.left), self.body(body.right)
                return f"({left}) {body.op} ({right})" + self.whole_order(body, order)
            case bound.BoundQuery():
                names = ", ".join(f"c{i}" for i in range(len(body.names)))
                return f"SELECT {names} FROM ({self.query(body)}) AS q" + self.whole_order(
                    body, order
                )

    def whole_order(self, body: bound.Body, keys: tuple[bound.OrderKey, ...]) -> str:
        ordered = self.order(keys)
        return ordered + "".join(f", c{i}" for i in range(len(body.names))) if ordered else ""

    def order(self, keys: tuple[bound.OrderKey, ...]) -> str:
        # A constant orders nothing, and its SQL would be taken for a position.
        shown = [self.order_key(k) for k in keys if not bound.is_constant(k.expr)]
        return f" ORDER BY {', '.join(shown)}" if shown else ""

    def ties(self, select: bound.BoundSelect) -> str:
        """Returns what follows an order so that equal rows come out the same way every time.

        Pages cut with LIMIT and OFFSET then add up to the whole.
        """
        keys: list[str] = []
        whole = False
        if not select.is_grouped and (select.distinct_on or not select.distinct):
            keys = self.row_keys(select.from_)
            whole = all(isinstance(r, bound.Scan) for r in relations(select.from_))
        if not whole:
            # Rows that agree in all that is shown may come in any order.
            keys += [f"c{i}" for i in range(len(select.exprs))]
        return "".join(f", {k}" for k in keys)

    def row_keys(self, relation: bound.Relation | None) -> list[str]:
        """Returns what tells the rows of FROM from each other, as far as its tables do."""
        return [
            self.column(scan, column)
            for scan in scans(relation)
            for name in scan.table.order
            if (column := scan.table.column(name)) is not None
        ]

    def order_key(self, key: bound.OrderKey) -> str:
        sql = f"c{key.expr.index}" if isinstance(key.expr, bound.Output) else self.expr(key.expr)
        sql += " DESC" if key.descending else ""
        if key.nulls_first is not None:
            sql += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
        return sql

    def select(self, select: bound.BoundSelect, order: tuple[bound.OrderKey, ...]) -> str:
        self.selects.append(select)
        try:
            return self._select(select, order)
        finally:
            self.selects.pop()

    def _select(self, select: bound.BoundSelect, order: tuple[bound.OrderKey, ...]) -> str:
        exprs = [self.expr(e) for e in select.exprs]
        items = ", ".join(f"{e} AS c{i}" for i, e in enumerate(exprs))
        distinct = "DISTINCT " if select.distinct else ""
        if select.distinct_on:
            distinct += f"ON ({', '.join(self.order_key(bound.OrderKey(e, False, None)) for e in select.distinct_on)}) "
        tail = ""
        asked = (e for e in select.where if e not in self.plan.answered)
        where = [sql for e in asked if (sql := self.condition(e, select.from_))]
        if where:
            tail += " WHERE " + " AND ".join(where)
        having: list[str] = []
        if select.sets:
            tail += f" GROUP BY {self.sets(select)}"
        elif select.group_by:
            # A constant makes no groups, and its SQL would be taken for a position.
            keys = [
                str(select.exprs.index(g) + 1) if g in select.exprs else self.expr(g)
                for g in select.group_by
                if not bound.is_constant(g)
            ]
            tail += f" GROUP BY {', '.join(keys) or '()'}"
            if not keys:
                having.append("count(*) > 0")
        if select.having is not None:
            having.append(self.expr(select.having))
        if having:
            tail += " HAVING " + " AND ".join(having)
        if select.qualify is not None:
            tail += " QUALIFY " + self.expr(select.qualify)
        ordered = self.order(order)
        if ordered:
            tail += ordered + self.ties(select)
        elif select.distinct_on:
            # Which row is the first of its kind is not left to chance.
            tail += self.ties(select).replace(",", " ORDER BY", 1)
        from_ = ""
        if select.from_ is not None:
            inner: dict[int, str] = {}
            conditions: dict[int, str] = {}
            self.prepare(select.from_, inner, conditions)
            from_ = " FROM " + self.relation(select.from_, inner, conditions)
        return f"SELECT {distinct}{items}{from_}{tail}"

    def condition(self, expr: bound.Expr, from_: bound.Relation | None) -> str:
        """Returns a condition of WHERE, or nothing where the scan that it speaks of asks it.

        DuckDB leaves regular expressions above joins, where they meet every line of a change.
        """
        if isinstance(expr, bound.LineMatch) and expr.scan.table.name == "hunks":
            access = self.plan.accesses[expr]
            if access.scan is not None and bound.kept(from_, expr.scan):
                self.found.setdefault(expr.scan.id, []).append(access.scan.name)
        scan = _only_scan(expr)
        if scan is None or scan.table.name not in ("hunks", "lines") or not bound.kept(from_, scan):
            return self.expr(expr)
        self.own.setdefault(scan.id, []).append(self.expr(expr))
        return ""

    def sets(self, select: bound.BoundSelect) -> str:
        keys = [
            str(select.exprs.index(g) + 1) if g in select.exprs else self.expr(g)
            for g in select.group_by
        ]
        shown = (f"({', '.join(keys[i] for i in one)})" for one in select.sets)
        return f"GROUPING SETS ({', '.join(shown)})"

    # FROM

    def prepare(
        self, relation: bound.Relation, inner: dict[int, str], conditions: dict[int, str]
    ) -> None:
        """Writes sub-queries and join conditions, so that every used column is known."""
        match relation:
            case bound.Join():
                self.prepare(relation.left, inner, conditions)
                self.prepare(relation.right, inner, conditions)
                if relation.on is not None:
                    conditions[id(relation)] = self.expr(relation.on)
            case bound.Derived() if relation.query is not None:
                inner[relation.id] = self.query(relation.query)

    def relation(
        self, relation: bound.Relation, inner: dict[int, str], conditions: dict[int, str]
    ) -> str:
        match relation:
            case bound.Scan():
                return self.scan(relation)
            case bound.Derived():
                names = ", ".join(f"c{i}" for i in range(len(relation.names)))
                if relation.cte is not None:
                    return f"w{relation.cte} AS t{relation.id}({names})"
                lateral = "LATERAL " if relation.lateral else ""
                return f"{lateral}({inner[relation.id]}) AS t{relation.id}({names})"
            case bound.Join():
                left = self.relation(relation.left, inner, conditions)
                right = self.relation(relation.right, inner, conditions)
                if isinstance(relation.right, bound.Join):
                    right = f"({right})"
                if relation.on is None:
                    return f"{left} CROSS JOIN {right}"
                word = {"inner": "JOIN", "full": "FULL JOIN"}.get(
                    relation.kind, f"{relation.kind.upper()} JOIN"
                )
                return f"{left} {word} {right} ON {conditions[id(relation)]}"

    def scan(self, scan: bound.Scan) -> str:
        table = scan.table
        used = dict(self.used.get(scan.id, {}))
        joins, where = self.hits(scan, used)
        own = self.own_conditions(scan, used)
        whole = [c for c in own if table.name == "lines" and _tells_no_lines(c)]
        where += [c for c in own if c not in whole]
        items = [f"{sql} AS {_quote(name)}" for name, sql in used.items()]
        source = f"{table.source} b"
        joins += [table.joins[join] for join in sorted(self.joins.get(scan.id, ()))]
        if table.name == "hunks" and (found := self.candidates(scan)):
            read = {*_BASE.findall(" ".join([*items, *where, *joins]))}
            source = _fenced(sorted(read), found)
        elif table.name == "ref_commits":
            source = f"{self.plan.members[scan].name} b"
        elif table.name == "lines":
            source = f"({self.lines(scan, ' '.join([*items, *where]), whole)}) b"
        for f in self.plan.functions.values():
            if f.scan == scan and f"_{f.name}" in used:
                joins.append(f"LEFT JOIN {f.name} ON {f.name}.id = {table.position}")
        sql = f"SELECT {', '.join(items) or '1 AS one'} FROM {' '.join([source, *joins])}"
        if where:
            sql += " WHERE " + " AND ".join(where)
        narrowed = self.plan.narrowed.get(scan)
        hits = narrowed and narrowed.scan
        if isinstance(hits, TextScan) and hits.node != textquery.And(()):
            # A fence: no condition is to be asked of rows that are no candidates.
            sql += " OFFSET 0"
        if table.tree:
            sql = sql.replace(catalog.TREE, self.plan.trees[scan].name)
        return f"({sql}) AS t{scan.id}"

    def hits(self, scan: bound.Scan, used: dict[str, str]) -> tuple[list[str], list[str]]:
        """Returns the joins and conditions that leave a scan what it may see and the index found.

        Columns in `used` that the hits bring along are read from them from now on.
        """
        joins: list[str] = []
        where: list[str] = []
        # Whether rows after the snapshot would be seen: hits are never after it.
        unseen = bool(scan.table.where)
        narrowed = self.plan.narrowed.get(scan)
        if narrowed is not None and isinstance(narrowed.scan, TextScan):
            unseen = False
            # A join with the scores is one with the hits.
            if scan in self.plan.joined and "_score" in used:
                pass
            elif _take(narrowed.scan, used, "m"):
                joins.append(f"JOIN {narrowed.scan.name} m ON m.id = {scan.table.key}")
            elif narrowed.scan.is_single:
                # Seen by DuckDB before it reads anything, unlike what a relation holds.
                where.append(f"{scan.table.key} = CAST(${narrowed.scan.name} AS UBIGINT)")
            else:
                where.append(f"{scan.table.key} IN (SELECT id FROM {narrowed.scan.name})")
        score = self.plan.scores.get(scan)
        if score is not None and "_score" in used:
            word = "LEFT JOIN"
            if scan in self.plan.joined:
                word = "JOIN"
                unseen = False
                _take(score, used, "s")
            joins.append(f"{word} {score.name} s ON s.id = {scan.table.key}")
        if unseen:
            where.append(scan.table.where)
        return joins, where

    def candidates(self, scan: bound.Scan) -> list[str]:
        """Returns what the indexes say of the changes that the line filters can match."""
        accesses = (self.plan.accesses[f] for f in self.plan.line_filters.get(scan, ()))
        names = [a.scan.name for a in accesses if a.scan] + self.found.get(scan.id, [])
        return [f"change_id IN (SELECT id FROM {name})" for name in names]

    def own_conditions(self, scan: bound.Scan, used: dict[str, str]) -> list[str]:
        """Returns the conditions that a scan asks itself, over its source."""
        conditions = self.own.get(scan.id, [])
        for name, sql in used.items():
            conditions = [c.replace(f"t{scan.id}.{_quote(name)}", sql) for c in conditions]
        return conditions

    def lines(self, scan: bound.Scan, uses: str, conditions: Sequence[str]) -> str:
        """Returns the rows of lines made from hunks, with the base columns that `uses` names.

        Hunks are narrowed first, by the line filters and by `conditions` that hold for all lines
        of one side or for none: making lines costs more than finding text.
        """
        names = [n for n in catalog.LINE_COLUMNS if f"b.{n}" in uses or n == "change_id"]
        filters = self.plan.line_filters.get(scan, ())
        sides = []
        for i, (side, count) in enumerate((("removed", "old_lines"), ("added", "new_lines"))):
            columns = {n: catalog.LINE_COLUMNS[n][i] for n in names}
            if not any("unnest" in c for c in columns.values()):
                columns["ordinal"] = catalog.LINE_COLUMNS["ordinal"][i]
            elif "ordinal" not in columns and "unnest" not in " ".join(
                catalog.LINE_COLUMNS[n][1 - i] for n in names
            ):
                columns["ordinal"] = "0"
            source = "hunks h"
            if found := self.candidates(scan):
                read = ("change_id", "hunk", count.replace("lines", "start"), count, side)
                source = _fenced(read, found, "h")
            where = [f"{count} > 0", *(_of_a_side(c, i) for c in conditions)]
            where += [self.line_condition(f.mode, side, f.pattern) for f in filters]
            items = ", ".join(f"{sql} AS {_quote(n)}" for n, sql in columns.items())
            if any("f." in sql for sql in (*columns.values(), *where)):
                source += " JOIN changes f ON f.change_id = h.change_id"
            sides.append(f"SELECT {items} FROM {source} WHERE {' AND '.join(where)}")
        return " UNION ALL ".join(sides)

    def column(self, scan: bound.Scan, column: catalog.Column) -> str:
        used = self.used.setdefault(scan.id, {})
        used[column.name] = column.expression
        self.joins.setdefault(scan.id, set()).update(column.joins)
        return f"t{scan.id}.{_quote(column.name)}"

    def special(self, scan: bound.Scan, name: str, sql: str) -> str:
        self.used.setdefault(scan.id, {})[name] = sql
        return f"t{scan.id}.{_quote(name)}"

    def key(self, scan: bound.Scan) -> str:
        assert scan.table.key is not None
        return self.special(scan, "_key", scan.table.key)

    def position(self, scan: bound.Scan) -> str:
        assert scan.table.position is not None
        return self.special(scan, "_position", scan.table.position)

    # Expressions

    def expr(self, expr: bound.Expr) -> str:
        return self._writers[type(expr)](self, expr)

    def _column(self, expr: bound.Column) -> str:
        return self.column(expr.scan, expr.column)

    def _derived(self, expr: bound.DerivedColumn) -> str:
        return f"t{expr.relation}.c{expr.index}"

    def _output(self, expr: bound.Output) -> str:
        return f"c{expr.index}"

    def _apply(self, expr: bound.Apply) -> str:
        args = [self.expr(a) for a in expr.args]
        if expr.sql == bound.MATCHES and isinstance(expr.args[0], bound.Column):
            pattern = expr.args[1]
            if isinstance(pattern, bound.Constant) and isinstance(pattern.value, str):
                return self.pattern_condition(args[0], pattern.value)
        fault = expr.fault
        if fault is None:
            return faults.once(expr.sql, args)
        if faults.VALUES in self.checks or fault.kind in self.checks:
            sql = faults.checked(expr, fault, args, self.site(expr), self.checks)
        else:
            sql = faults.once(faults.limited(expr), args)
        return faults.in_range(expr.type, sql)

    def site(self, expr: bound.Apply | bound.Subquery) -> int:
        if expr not in self.sites:
            self.sites.append(expr)
        return self.sites.index(expr)

    def _junction(self, expr: bound.Junction) -> str:
        return "(" + f" {expr.op} ".join(self.expr(o) for o in expr.operands) + ")"

    def _negation(self, expr: bound.Negation) -> str:
        return f"(NOT {self.expr(expr.operand)})"

    def _aggregate(self, expr: bound.Aggregate, order: Sequence[str] = ()) -> str:
        """Writes an aggregate; `order` is that of the window it is asked over."""
        args = [self.expr(a) for a in expr.args]
        keys = [self.order_key(k) for k in expr.order]
        if expr.sql.startswith(_IN_ORDER):
            # Its items are those of every other run, in the same order.
            rows = self.row_keys(self.selects[-1].from_)
            keys += args[:1] if expr.distinct else [*order, *rows]
        if expr.distinct and args:
            args[0] = f"DISTINCT {args[0]}"
        if keys and args:
            args[-1] += " ORDER BY " + ", ".join(keys)
        sql = expr.sql.format(*args)
        return sql if expr.where is None else f"{sql} FILTER (WHERE {self.expr(expr.where)})"

    def _window(self, expr: bound.WindowCall) -> str:
        parts = []
        if expr.partition:
            parts.append("PARTITION BY " + ", ".join(self.expr(p) for p in expr.partition))
        keys = [self.order_key(k) for k in expr.order]
        select = self.selects[-1]
        if _tells_rows(expr) and not select.is_grouped:
            keys += self.row_keys(select.from_)
        if keys:
            parts.append("ORDER BY " + ", ".join(keys))
        if expr.frame is not None:
            unit, start, start_value, end, end_value = expr.frame
            low = (f"{self.expr(start_value)} " if start_value is not None else "") + start
            if end is None:
                parts.append(f"{unit} {low}")
            else:
                high = (f"{self.expr(end_value)} " if end_value is not None else "") + end
                parts.append(f"{unit} BETWEEN {low} AND {high}")
        function = expr.function
        if isinstance(function, bound.Aggregate):
            called = self._aggregate(function, keys)
        else:
            called = self.expr(function)
            if isinstance(function, bound.Apply) and function.sql.startswith(_PICKS):
                ordered = [*keys, *([] if select.is_grouped else self.row_keys(select.from_))]
                if ordered:
                    called = f"{called.removesuffix(')')} ORDER BY {', '.join(ordered)})"
        return f"{called} OVER ({' '.join(parts)})"

    def _subquery(self, expr: bound.Subquery) -> str:
        inner = self.query(expr.query)
        if expr.kind == "scalar":
            if expr.fault is not None and faults.ROWS in self.checks:
                more = faults.raising(self.site(expr))
                value = f"(CASE WHEN count(*) > 1 THEN {more} ELSE [first(c0)] END)[1]"
                return f"(SELECT {value} FROM ({inner}) AS q(c0))"
            return f"({inner})"
        if expr.kind == "exists":
            return f"(EXISTS ({inner}))"
        assert expr.operand is not None
        word = "IN" if expr.kind == "in" else expr.kind
        return f"({self.expr(expr.operand)} {word} ({inner}))"

    def predicate(self, scan: bound.Scan | None, sql: str) -> str:
        """Returns a predicate that is true or false, also where an outer join found no row."""
        if scan is None or scan.id not in self.nullable:
            return sql
        key = self.position(scan) if scan.table.key is None else self.key(scan)
        return f"({key} IS NOT NULL AND {sql})"

    def _text_match(self, expr: bound.TextMatch) -> str:
        access = self.plan.accesses[expr]
        if access.scan is None:
            return self.predicate(expr.scan, self.scanned(expr))
        assert expr.scan is not None
        narrowed = self.plan.narrowed.get(expr.scan)
        if narrowed is not None and narrowed.scan == access.scan:
            # The scan reads these rows alone.
            exact = access.exactness is Exactness.EXACT
            return self.predicate(expr.scan, "TRUE" if exact else self.scanned(expr))
        if expr in self.plan.joined.get(expr.scan, ()):
            # The join with the scores keeps just the rows that match.
            self._score(bound.Score(expr.scan))
            return "TRUE"
        sql = f"({self.key(expr.scan)} IN (SELECT id FROM {access.scan.name}))"
        if access.exactness is not Exactness.EXACT:
            # Said twice: a function that is costly is pushed below the join with the candidates.
            sql = f"({sql} AND CASE WHEN {sql} THEN {self.scanned(expr)} ELSE FALSE END)"
        return self.predicate(expr.scan, sql)

    def scanned(self, expr: bound.TextMatch) -> str:
        fields = tuple(f for f, _ in expr.subjects)
        function = next(
            (f for f in self.functions if f.node == expr.node and f.fields == fields), None
        )
        if function is None:
            function = ScannedText(f"gql_words_{len(self.functions)}", expr.node, fields)
            self.functions.append(function)
        args = ", ".join(f"coalesce({self.expr(e)}, '')" for _, e in expr.subjects)
        return f"{function.name}([{args}])"

    def line_condition(self, mode: str, column: str, pattern: str) -> str:
        if mode == "regex":
            return self.pattern_condition(column, pattern)
        return f"contains({column}, {self.text(pattern)})"

    def pattern_condition(self, column: str, pattern: str) -> str:
        """Returns that a regular expression matches, asked where the texts are that it needs."""
        matches = f"regexp_matches({column}, {self.text(pattern)})"
        some = [f"contains({column}, {self.text(t)})" for t in fragments.texts_of(pattern)]
        return f"(({' OR '.join(some)}) AND {matches})" if some else matches

    def _line_match(self, expr: bound.LineMatch) -> str:
        access = self.plan.accesses[expr]
        scan = expr.scan
        if scan.table.name == "hunks":
            columns = [self.column(scan, c) for s in expr.sides if (c := scan.table.column(s))]
            own = f"({self.any_side(expr, columns)})"
            if access.scan is not None:
                # The index speaks of whole changes: each hunk is asked again.
                own = f"({self.key(scan)} IN (SELECT id FROM {access.scan.name}) AND {own})"
            return self.predicate(scan, own)
        per_commit = scan.table.name == "commits"
        if access.scan is not None:
            inner = f"SELECT id FROM {access.scan.name}"
        else:
            inner = (
                "SELECT h.change_id AS id FROM hunks h"
                f" WHERE {self.any_side(expr, [f'h.{s}' for s in expr.sides])}"
            )
            if expr.mode == "pickaxe":
                value = self.text(expr.pattern)
                added = _OCCURRENCES.format("coalesce(h.added, '')", value)
                removed = _OCCURRENCES.format("coalesce(h.removed, '')", value)
                inner += f" GROUP BY h.change_id HAVING sum({added}) <> sum({removed})"
        if per_commit:
            inner = f"SELECT id >> 20 FROM ({inner})"
        subject = self.position(scan) if per_commit else self.key(scan)
        return self.predicate(scan, f"({subject} IN ({inner}))")

    def any_side(self, expr: bound.LineMatch, columns: Sequence[str]) -> str:
        """Returns the condition that some of the columns holds a line that matches."""
        conditions = (self.line_condition(expr.mode, c, expr.pattern) for c in columns)
        return " OR ".join(f"coalesce({c}, FALSE)" for c in conditions)

    def _touch(self, expr: bound.TouchMatch) -> str:
        pattern = self.text(expr.pattern)

        def matches(column: str) -> str:
            prefix = f"starts_with({column}, {self.text(expr.prefix)}) AND " if expr.prefix else ""
            return f"({prefix}regexp_matches({column}, {pattern}))"

        scan = expr.scan
        if scan.table.name == "changes":
            path, old = (
                self.column(scan, c) for n in ("path", "old_path") if (c := scan.table.column(n))
            )
            return self.predicate(scan, f"({matches(path)} OR coalesce({matches(old)}, FALSE))")
        inner = (
            "SELECT f.position FROM changes f"
            f" WHERE {matches('f.path')} OR coalesce({matches('f.old_path')}, FALSE)"
        )
        return self.predicate(scan, f"({self.position(scan)} IN ({inner}))")

    def _revision(self, expr: bound.RevisionMatch) -> str:
        scan = self.plan.accesses[expr].scan
        assert scan is not None
        subject, found = self.position(expr.scan), "id"
        if expr.kind == "history":
            # Changes, of which hunks and lines are parts, and commits the owners.
            if expr.scan.table.name == "commits":
                found = "id >> 20"
            else:
                subject = self.key(expr.scan)
        return self.predicate(expr.scan, f"({subject} IN (SELECT {found} FROM {scan.name}))")

    def _graph_call(self, expr: bound.GraphCall) -> str:
        function = self.plan.functions[expr]
        if function.scan is not None:
            return self.special(function.scan, f"_{function.name}", f"{function.name}.value")
        given = (*(() if expr.repo is None else (expr.repo,)), *expr.args)
        args = ", ".join(f"CAST({self.expr(a)} AS VARCHAR)" for a in given)
        sql = f"nullif({function.name}({args}), '')"
        return f"CAST({sql} AS BOOLEAN)" if expr.type == "BOOLEAN" else sql

    def _score(self, expr: bound.Score) -> str:
        if expr.scan not in self.plan.scores:
            return "NULL::DOUBLE"
        return self.special(expr.scan, "_score", "CAST(s.score AS DOUBLE)")

    def _highlight(self, expr: bound.Highlight) -> str:
        return self.expr(expr.column)

    _writers: ClassVar[dict[type, Callable[..., str]]] = {
        bound.Constant: value,
        bound.Column: _column,
        bound.DerivedColumn: _derived,
        bound.Output: _output,
        bound.Apply: _apply,
        bound.Junction: _junction,
        bound.Negation: _negation,
        bound.Aggregate: _aggregate,
        bound.WindowCall: _window,
        bound.Subquery: _subquery,
        bound.TextMatch: _text_match,
        bound.LineMatch: _line_match,
        bound.TouchMatch: _touch,
        bound.RevisionMatch: _revision,
        bound.GraphCall: _graph_call,
        bound.Score: _score,
        bound.Highlight: _highlight,
    }


def _fenced(columns: Sequence[str], found: Sequence[str], alias: str = "b") -> str:
    """Returns the hunks of candidates alone.

    Behind a fence: DuckDB would ask of all texts what only those of candidates are asked.
    """
    where = " AND ".join(found)
    return f"(SELECT {', '.join(columns)} FROM hunks WHERE {where} OFFSET 0) {alias}"


def _only_scan(expr: bound.Expr) -> bound.Scan | None:
    """Returns the scan whose columns alone decide a condition that any values can be put to."""
    scans = set()
    for node in bound.walk(expr):
        match node:
            case bound.Column():
                scans.add(node.scan)
            case bound.Apply():
                if node.fault is not None or node.sql == bound.UNNEST:
                    return None
            case bound.Constant() | bound.Junction() | bound.Negation():
                pass
            case _:
                return None
    return scans.pop() if len(scans) == 1 else None


def _of_a_side(condition: str, side: int) -> str:
    """Returns a condition on base columns of lines as one on a side of the hunks they are in."""
    return _BASE.sub(lambda column: catalog.LINE_COLUMNS[column[1]][side], condition)


def _tells_no_lines(condition: str) -> bool:
    return not any("unnest" in _of_a_side(condition, side) for side in (0, 1))


def _tells_rows(expr: bound.WindowCall) -> bool:
    """Returns whether it makes a difference which of equal rows comes first in a window.

    Others look at all equal rows at once, so that their order must not be made finer.
    """
    if expr.frame is not None and expr.frame[0] == "ROWS":
        return True
    function = expr.function
    return isinstance(function, bound.Apply) and function.sql.startswith(_PLACES)


def _take(hits: TextScan, used: dict[str, str], alias: str) -> bool:
    """Makes columns read what hits bring, and returns whether any does."""
    taken = False
    for stored, brought in (pair for name in hits.brings for pair in _BROUGHT[name]):
        for name, sql in used.items():
            if stored in sql:
                used[name] = sql.replace(stored, brought.format(alias))
                taken = True
    return taken
