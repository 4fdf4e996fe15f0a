"""Writes one DuckDB statement for a plan. No byte of the user's is in it.

Tables are `t<n>`, columns keep their catalog names, results are `c<n>`, index results are
relations `x<n>` and `g<n>`; every value is a bound parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from govc_search import catalog, textquery
from govc_search.ql import bound, faults
from govc_search.ql.plan import Exactness, GraphFunction, Plan
from govc_search.ql.relations import nullable, relations
from govc_search.ql.scans import Scans

__all__ = ["ScannedText", "Statement", "compile_plan"]

# Aggregates that show the order of their rows.
_IN_ORDER = ("list(", "string_agg(", "first(", "last(", "any_value(")
# Window functions whose results differ between rows that their order does not tell apart.
_PLACES = ("row_number(", "ntile(", "lag(", "lead(")
# Those that pick a row of the frame, of which some may be equal in the order.
_PICKS = ("first_value(", "last_value(", "nth_value(")
_OCCURRENCES = "((length({0}) - length(replace({0}, {1}, ''))) / length({1}))"


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


class _Compiler:
    def __init__(self, plan: Plan, checks: frozenset[str]) -> None:
        self.plan = plan
        self.checks = checks
        self.sites: list[bound.Apply | bound.Subquery] = []
        self.parameters: dict[str, object] = {}
        self._known: dict[tuple[str, object], str] = {}
        self.functions: list[ScannedText] = []
        self.scans = Scans(plan, self.text)
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
            keys = self.scans.row_keys(select.from_)
            whole = all(isinstance(r, bound.Scan) for r in relations(select.from_))
        if not whole:
            # Rows that agree in all that is shown may come in any order.
            keys += [f"c{i}" for i in range(len(select.exprs))]
        return "".join(f", {k}" for k in keys)

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
            from_ = " FROM " + self.scans.relation(select.from_, inner, conditions)
        return f"SELECT {distinct}{items}{from_}{tail}"

    def condition(self, expr: bound.Expr, from_: bound.Relation | None) -> str:
        """Returns a condition of WHERE, or nothing where the scan that it speaks of asks it.

        DuckDB leaves regular expressions above joins, where they meet every line of a change.
        """
        if isinstance(expr, bound.LineMatch) and bound.kept(from_, expr.scan):
            self.scans.found_by(expr)
        scan = _only_scan(expr)
        if scan is None or scan.table.name not in ("hunks", "lines") or not bound.kept(from_, scan):
            return self.expr(expr)
        self.scans.asks(scan, self.expr(expr))
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

    # Expressions

    def expr(self, expr: bound.Expr) -> str:
        return self._writers[type(expr)](self, expr)

    def _column(self, expr: bound.Column) -> str:
        return self.scans.column(expr.scan, expr.column)

    def _derived(self, expr: bound.DerivedColumn) -> str:
        return f"t{expr.relation}.c{expr.index}"

    def _output(self, expr: bound.Output) -> str:
        return f"c{expr.index}"

    def _apply(self, expr: bound.Apply) -> str:
        args = [self.expr(a) for a in expr.args]
        if expr.sql == bound.MATCHES and isinstance(expr.args[0], bound.Column):
            pattern = expr.args[1]
            if isinstance(pattern, bound.Constant) and isinstance(pattern.value, str):
                return self.scans.pattern_condition(args[0], pattern.value)
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
            rows = self.scans.row_keys(self.selects[-1].from_)
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
            keys += self.scans.row_keys(select.from_)
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
                ordered = [*keys, *([] if select.is_grouped else self.scans.row_keys(select.from_))]
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
        key = self.scans.position(scan) if scan.table.key is None else self.scans.key(scan)
        return f"({key} IS NOT NULL AND {sql})"

    def _text_match(self, expr: bound.TextMatch) -> str:
        access = self.plan.accesses[expr]
        if access.scan is None:
            return self.predicate(expr.scan, self.scanned(expr))
        assert expr.scan is not None
        texts = self.plan.texts.get(expr.scan)
        if texts is not None and access.scan in texts.hits:
            return self.predicate(expr.scan, self.scanned(expr))
        narrowed = self.plan.narrowed.get(expr.scan)
        if narrowed is not None and narrowed.scan == access.scan:
            # The scan reads these rows alone.
            exact = access.exactness is Exactness.EXACT
            return self.predicate(expr.scan, "TRUE" if exact else self.scanned(expr))
        if expr in self.plan.joined.get(expr.scan, ()):
            # The join with the scores keeps just the rows that match.
            self._score(bound.Score(expr.scan))
            return "TRUE"
        sql = f"({self.scans.key(expr.scan)} IN (SELECT id FROM {access.scan.name}))"
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

    def _line_match(self, expr: bound.LineMatch) -> str:
        access = self.plan.accesses[expr]
        scan = expr.scan
        if scan.table.name == "hunks":
            columns = [
                self.scans.column(scan, c) for s in expr.sides if (c := scan.table.column(s))
            ]
            own = f"({self.any_side(expr, columns)})"
            texts = self.plan.texts.get(scan)
            if access.scan is not None and (texts is None or access.scan not in texts.hits):
                # The index speaks of whole changes: each hunk is asked again.
                own = f"({self.scans.key(scan)} IN (SELECT id FROM {access.scan.name}) AND {own})"
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
        subject = self.scans.position(scan) if per_commit else self.scans.key(scan)
        return self.predicate(scan, f"({subject} IN ({inner}))")

    def any_side(self, expr: bound.LineMatch, columns: Sequence[str]) -> str:
        """Returns the condition that some of the columns holds a line that matches."""
        conditions = (self.scans.line_condition(expr.mode, c, expr.pattern) for c in columns)
        return " OR ".join(f"coalesce({c}, FALSE)" for c in conditions)

    def _touch(self, expr: bound.TouchMatch) -> str:
        pattern = self.text(expr.pattern)

        def matches(column: str) -> str:
            prefix = f"starts_with({column}, {self.text(expr.prefix)}) AND " if expr.prefix else ""
            return f"({prefix}regexp_matches({column}, {pattern}))"

        scan = expr.scan
        if scan.table.name == "changes":
            path, old = (
                self.scans.column(scan, c)
                for n in ("path", "old_path")
                if (c := scan.table.column(n))
            )
            return self.predicate(scan, f"({matches(path)} OR coalesce({matches(old)}, FALSE))")
        inner = (
            "SELECT f.position FROM changes f"
            f" WHERE {matches('f.path')} OR coalesce({matches('f.old_path')}, FALSE)"
        )
        return self.predicate(scan, f"({self.scans.position(scan)} IN ({inner}))")

    def _revision(self, expr: bound.RevisionMatch) -> str:
        scan = self.plan.accesses[expr].scan
        assert scan is not None
        subject, found = self.scans.position(expr.scan), "id"
        if expr.kind == "history":
            # Changes, of which hunks and lines are parts, and commits the owners.
            if expr.scan.table.name == "commits":
                found = "id >> 20"
            else:
                subject = self.scans.key(expr.scan)
        return self.predicate(expr.scan, f"({subject} IN (SELECT {found} FROM {scan.name}))")

    def _graph_call(self, expr: bound.GraphCall) -> str:
        function = self.plan.functions[expr]
        if function.scan is not None:
            return self.scans.special(function.scan, f"_{function.name}", f"{function.name}.value")
        given = (*(() if expr.repo is None else (expr.repo,)), *expr.args)
        args = ", ".join(f"CAST({self.expr(a)} AS VARCHAR)" for a in given)
        sql = f"nullif({function.name}({args}), '')"
        return f"CAST({sql} AS BOOLEAN)" if expr.type == "BOOLEAN" else sql

    def _score(self, expr: bound.Score) -> str:
        if expr.scan not in self.plan.scores:
            return "NULL::DOUBLE"
        return self.scans.special(expr.scan, "_score", "CAST(s.score AS DOUBLE)")

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


def _tells_rows(expr: bound.WindowCall) -> bool:
    """Returns whether it makes a difference which of equal rows comes first in a window.

    Others look at all equal rows at once, so that their order must not be made finer.
    """
    if expr.frame is not None and expr.frame[0] == "ROWS":
        return True
    function = expr.function
    return isinstance(function, bound.Apply) and function.sql.startswith(_PLACES)
