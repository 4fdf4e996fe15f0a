"""Names to tables, columns and types: syntax tree to bound query.

Parameters are bound here too, so a bound query holds values and needs nothing more from the
user. `Binder` knows queries and scopes; `expressions` binds what stands inside them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from govc_search import catalog
from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound, dialects, joins, parser, recursion
from govc_search.ql.grouping import check_grouped, grouping_sets
from govc_search.settings import Settings

__all__ = ["Binder", "Scope"]

Params = Mapping[str, object] | Sequence[object] | None


_ONE_COLUMN = "{} and {} cannot be one column"


@dataclass(slots=True)
class Scope:
    """The relations that names may mean, and the query around."""

    parent: Scope | None
    relations: list[bound.Scan | bound.Derived] = field(default_factory=list)
    # Columns joined with USING: the name means the left one and `*` shows it once.
    merged: dict[str, set[int]] = field(default_factory=dict)
    # What such a name means after a full join, where either side may have no row.
    coalesced: dict[str, bound.Expr] = field(default_factory=dict)
    # What the WINDOW clause names.
    windows: dict[str, ast.Window] = field(default_factory=dict)
    # What SELECT calls its items, for GROUP BY, HAVING, QUALIFY and ORDER BY.
    aliases: dict[str, bound.Expr] = field(default_factory=dict)
    # The same as they are written, for WHERE, which comes before.
    written: dict[str, ast.Expr] = field(default_factory=dict)
    # The clause being bound where neither aggregates nor windows can stand, or nothing.
    clause: str = ""
    # Text predicates met so far, for SCORE, HIGHLIGHT and SNIPPET.
    matches: list[bound.TextMatch] = field(default_factory=list)


class Binder:
    """Binds one statement."""

    def __init__(self, source: str, params: Params, settings: Settings) -> None:
        from govc_search.ql.expressions import ExpressionBinder

        self.source = source
        self.settings = settings
        self.params: dict[str, object] = (
            dict(params)
            if isinstance(params, Mapping)
            else {str(i): v for i, v in enumerate(params or (), 1)}
        )
        self.used_params: set[str] = set()
        self.warnings: list[str] = []
        # Those that are true only where several repositories are indexed.
        self.repository_warnings: list[str] = []
        self.ids = 0
        self.ctes: list[dict[str, bound.Derived]] = []
        self.expressions = ExpressionBinder(self)

    def error(self, code: str, message: str, span: Span, hint: str | None = None) -> QueryError:
        """Returns an error at a place of the query."""
        return QueryError(code, message, hint=hint, span=span, source=self.source)

    def next_id(self) -> int:
        """Returns a number that no other relation of the statement has."""
        self.ids += 1
        return self.ids

    def check_parameters(self) -> None:
        """Raises unused_parameter where a value has no place in the query."""
        extra = sorted(set(self.params) - self.used_params)
        if extra:
            raise QueryError(
                "unused_parameter",
                f"the query has no parameter {', '.join('$' + e for e in extra)}",
                hint="leave it out, or write it into the query",
            )

    # Queries

    def query(self, query: ast.Query, parent: Scope | None) -> bound.BoundQuery:
        """Returns the bound query; `parent` is the scope around a sub-query."""
        self.ctes.append({})
        ctes = []
        for cte in query.ctes:
            number = self.next_id()
            if query.recursive and recursion.refers(cte.query, cte.name):
                inner = recursion.bind(self, cte, number, parent)
            else:
                inner = bound.Cte(number, self.query(cte.query, parent))
            ctes.append(inner)
            self.name_cte(cte, number, inner.query.names, inner.query.types)
        body, scope = self._body(query.body, parent)
        order = self._order(query, body, scope)
        if isinstance(body, bound.BoundSelect) and body.distinct and not body.distinct_on:
            for key, item in zip(order, query.order_by, strict=False):
                if not isinstance(key.expr, bound.Output):
                    raise self.error(
                        "order_not_selected",
                        "with DISTINCT, ORDER BY can only name what is selected",
                        item.span,
                    )
        result = bound.BoundQuery(
            body,
            tuple(ctes),
            order,
            self._count(query.limit, "LIMIT"),
            self._count(query.offset, "OFFSET") or 0,
        )
        self.ctes.pop()
        if not self.ctes:
            self._check_highlights(result)
        return result

    def name_cte(
        self, cte: ast.Cte, number: int, names: tuple[str, ...], types: tuple[str, ...]
    ) -> None:
        """Makes a common table expression known from here on."""
        renamed = self._rename(names, cte.columns, cte.span)
        self.ctes[-1][cte.name.lower()] = bound.Derived(0, cte.name, None, number, renamed, types)

    def _check_highlights(self, query: bound.BoundQuery) -> None:
        """Refuses HIGHLIGHT and SNIPPET where they are not columns of the result itself."""
        shown = query.body.exprs if isinstance(query.body, bound.BoundSelect) else ()
        for node in bound.walk(query):
            if isinstance(node, bound.Highlight) and not any(node is e for e in shown):
                raise self.error(
                    "highlight_place",
                    "highlights are made for the rows of the result alone",
                    node.span,
                    "select the column here, and highlight it outside",
                )

    def body(self, body: ast.Body, parent: Scope | None) -> bound.Body:
        """Returns a bound body: a query without WITH, ORDER BY and LIMIT."""
        return self._body(body, parent)[0]

    def _body(self, body: ast.Body, parent: Scope | None) -> tuple[bound.Body, Scope | None]:
        match body:
            case ast.Select():
                return self._select(body, parent)
            case ast.Query():
                return self.query(body, parent), None
            case ast.Values():
                return self._values(body, parent), None
            case ast.SetOperation():
                left, _ = self._body(body.left, parent)
                right, _ = self._body(body.right, parent)
                if len(left.names) != len(right.names):
                    raise self.error(
                        "column_count",
                        f"{body.op} of {len(left.names)} and {len(right.names)} columns",
                        body.span,
                        "both sides need the same number",
                    )
                op = body.op + (" ALL" if body.all else "")
                pairs = list(zip(left.types, right.types, strict=True))
                for pair in pairs:
                    both = [bound.DerivedColumn(0, 0, kind) for kind in pair]
                    self.expressions.same([*both], body.span, _ONE_COLUMN)
                types = tuple(map(bound.joint_type, pairs))
                return bound.BoundSet(op, left, right, left.names, types), None

    def _values(self, values: ast.Values, parent: Scope | None) -> bound.BoundValues:
        scope = Scope(parent)
        rows = tuple(tuple(self.expressions.bind(e, scope) for e in row) for row in values.rows)
        if len({len(r) for r in rows}) > 1:
            raise self.error("column_count", "the rows of VALUES differ in length", values.span)
        names = tuple(f"col{i}" for i in range(len(rows[0])))
        columns = [
            self.expressions.same(list(c), values.span, _ONE_COLUMN)
            for c in zip(*rows, strict=True)
        ]
        types = tuple(bound.joint_type(e.type for e in c) for c in columns)
        return bound.BoundValues(names, types, tuple(zip(*columns, strict=True)))

    def _select(self, select: ast.Select, parent: Scope | None) -> tuple[bound.BoundSelect, Scope]:
        scope = Scope(parent)
        relation = self._from(select.from_, scope) if select.from_ else None
        x = self.expressions
        scope.windows = x.calls.windows.named(select.windows)
        # WHERE first: SCORE and HIGHLIGHT in the list speak of its text predicates.
        scope.written = {i.alias.lower(): i.expr for i in reversed(select.items) if i.alias}
        where = self._where(select.where, scope) if select.where else ()
        names: list[str] = []
        exprs: list[bound.Expr] = []
        spans: list[Span] = []
        for item in select.items:
            if isinstance(item.expr, ast.Star):
                for name, column in self._star(item.expr, scope):
                    names.append(name)
                    exprs.append(column)
                    spans.append(item.expr.span)
                continue
            expr = x.bind(item.expr, scope, top=True)
            names.append(item.alias or self._name(item.expr))
            exprs.append(expr)
            spans.append(item.expr.span)
            if item.alias:
                scope.aliases.setdefault(item.alias.lower(), expr)
        scope.clause = "GROUP BY"
        group, sets = grouping_sets(
            select.group_by,
            lambda key: self._group_key(key, scope, exprs),
            self.settings.size("query_leaves"),
            self.error,
        )
        if select.group_all:
            # Resolved here: DuckDB's own takes no window of QUALIFY for one over the groups.
            each = (e for e in exprs if not (bound.has_aggregate(e) or bound.has_window(e)))
            group = tuple(dict.fromkeys(each))
        scope.clause = ""
        having = x.condition(select.having, scope, "HAVING") if select.having else None
        if select.having and having is not None and bound.has_window(having):
            raise self.error(
                "aggregate_place",
                "a window cannot stand in HAVING",
                select.having.span,
                "use QUALIFY",
            )
        qualify = x.condition(select.qualify, scope, "QUALIFY") if select.qualify else None
        result = bound.BoundSelect(
            tuple(names), tuple(exprs), relation, where, group,
            having, qualify, select.distinct, (), sets,
        )  # fmt: skip
        for window in scope.windows.values():
            # Also one that nothing uses has to be right.
            x.calls.windows.window(bound.Constant(None, "NULL"), window, scope)
        if result.is_grouped:
            checked = list(zip(exprs, spans, strict=True))
            for clause, written in ((having, select.having), (qualify, select.qualify)):
                if clause is not None and written is not None:
                    checked.append((clause, written.span))
            for expr, span in checked:
                check_grouped(expr, group, scope.relations, span, self.error)
        if select.distinct_on:
            on = tuple(
                self._order_expr(e, result, scope, "DISTINCT ON") for e in select.distinct_on
            )
            result = replace(result, distinct_on=on)
        return result, scope

    def _where(self, where: ast.Expr, scope: Scope) -> tuple[bound.Expr, ...]:
        scope.clause = "WHERE"
        parts = where.operands if isinstance(where, ast.And) else (where,)
        result: list[bound.Expr] = []
        for part in parts:
            expr = self.expressions.condition(part, scope, "WHERE")
            if isinstance(expr, bound.Junction) and expr.op == "AND":
                result += expr.operands
            else:
                result.append(expr)
        scope.clause = ""
        self.check_leaves(tuple(result), where.span)
        return tuple(result)

    def check_leaves(self, condition: object, span: Span) -> None:
        """Raises too_many_leaves for a condition of too many parts, whose plan would take long."""
        leaves = 0
        for n in bound.walk(condition, into_queries=False):
            if isinstance(n, bound.Junction):
                # A truth value alone, such as a column.
                counted = bound.Predicate | bound.Apply | bound.Junction | bound.Negation
                leaves += sum(1 for o in n.operands if not isinstance(o, counted))
            elif isinstance(n, bound.Predicate) or (
                isinstance(n, bound.Apply) and n.type == "BOOLEAN"
            ):
                leaves += 1
        limit = self.settings.size("query_leaves")
        if leaves > limit:
            raise self.error(
                "too_many_leaves",
                f"the condition has more than {limit} leaves",
                span,
                "the setting query_leaves is the limit",
            )

    def _name(self, expr: ast.Expr) -> str:
        if isinstance(expr, ast.Name):
            return expr.parts[-1].lower() if self._known(expr.parts[-1]) else expr.parts[-1]
        text = parser.on_one_line(self.source, expr.span)
        return text if len(text) <= 60 else text[:59] + "…"

    def _known(self, name: str) -> bool:
        return any(t.column(name) for t in catalog.TABLES)

    def _group_key(self, key: ast.Expr, scope: Scope, exprs: list[bound.Expr]) -> bound.Expr:
        if (
            isinstance(key, ast.Literal)
            and isinstance(key.value, int)
            and not isinstance(key.value, bool)
        ):
            ordinal = self._ordinal(key.value, len(exprs), key.span, "GROUP BY")
            return self._of_one_row(exprs[ordinal], key.span)
        return self._of_one_row(self.expressions.bind(key, scope), key.span)

    def _of_one_row(self, expr: bound.Expr, span: Span) -> bound.Expr:
        if bound.has_aggregate(expr) or bound.has_window(expr):
            raise self.error(
                "aggregate_place", "GROUP BY takes what each row has, not what many make", span
            )
        return expr

    def _ordinal(self, number: int, count: int, span: Span, clause: str) -> int:
        if not 1 <= number <= count:
            raise self.error(
                "unknown_position", f"{clause} {number}, but the number of columns is {count}", span
            )
        return number - 1

    def _order(
        self, query: ast.Query, body: bound.Body, scope: Scope | None
    ) -> tuple[bound.OrderKey, ...]:
        if each := query.order_all:
            return tuple(
                bound.OrderKey(bound.Output(i, t), each.descending, each.nulls_first)
                for i, t in enumerate(body.types)
            )
        keys = []
        for item in query.order_by:
            expr = self._order_expr(item.expr, body, scope)
            keys.append(bound.OrderKey(expr, item.descending, item.nulls_first))
        return tuple(keys)

    def _order_expr(
        self, expr: ast.Expr, body: bound.Body, scope: Scope | None, clause: str = "ORDER BY"
    ) -> bound.Expr:
        if isinstance(expr, ast.Literal) and isinstance(expr.value, int):
            i = self._ordinal(expr.value, len(body.names), expr.span, clause)
            return bound.Output(i, body.types[i])
        if isinstance(expr, ast.Name) and len(expr.parts) == 1:
            wanted = expr.parts[0].lower()
            for i, name in enumerate(body.names):
                if name.lower() == wanted:
                    return bound.Output(i, body.types[i])
        if scope is None or not isinstance(body, bound.BoundSelect):
            raise self.error(
                "unknown_column",
                "ORDER BY after a set operation can only name columns of the result",
                expr.span,
            )
        result = self.expressions.bind(expr, scope)
        if result in body.exprs:
            i = body.exprs.index(result)
            return bound.Output(i, body.types[i])
        if body.is_grouped:
            check_grouped(result, body.group_by, scope.relations, expr.span, self.error)
        elif bound.has_aggregate(result):
            raise self.error(
                "aggregate_place", "ORDER BY takes no aggregate where nothing is grouped", expr.span
            )
        return result

    def _count(self, expr: ast.Expr | None, clause: str) -> int | None:
        if expr is None:
            return None
        value = self.expressions.bind(expr, Scope(None))
        if isinstance(value, bound.Constant):
            count = value.value
            if count is None:
                return None
            if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
                if count < 1 << 62:
                    return count
                raise self.error(
                    "invalid_limit",
                    f"{clause} takes numbers up to {(1 << 62) - 1}",
                    expr.span,
                    "leave it out for all rows" if clause == "LIMIT" else None,
                )
        raise self.error(
            "invalid_limit", f"{clause} takes a whole number from 0, or a parameter", expr.span
        )

    # FROM

    def _from(self, item: ast.FromItem, scope: Scope) -> bound.Relation:
        match item:
            case ast.TableName():
                return self._table(item, scope)
            case ast.TableFunction():
                return self._table_function(item, scope)
            case ast.DerivedTable():
                inner = self.query(item.query, scope if item.lateral else scope.parent)
                names = self._rename(inner.names, item.columns, item.span)
                derived = bound.Derived(
                    self.next_id(), item.alias or "", inner, None, names, inner.types, item.lateral
                )
                self._add(derived, scope, item.span)
                return derived
            case ast.Join():
                return self._join(item, scope)

    def _rename(
        self, names: tuple[str, ...], columns: tuple[str, ...], span: Span
    ) -> tuple[str, ...]:
        if len(columns) > len(names):
            raise self.error("column_count", f"{len(columns)} names for {len(names)} columns", span)
        return columns + names[len(columns) :]

    def _add(self, relation: bound.Scan | bound.Derived, scope: Scope, span: Span) -> None:
        for other in scope.relations:
            if other.alias and other.alias.lower() == relation.alias.lower():
                raise self.error(
                    "duplicate_alias",
                    f'"{relation.alias}" names two tables',
                    span,
                    "give one of them another alias",
                )
        scope.relations.append(relation)

    def _table(self, item: ast.TableName, scope: Scope) -> bound.Scan | bound.Derived:
        for ctes in reversed(self.ctes):
            if item.name.lower() in ctes:
                derived = replace(
                    ctes[item.name.lower()], id=self.next_id(), alias=item.alias or item.name
                )
                self._add(derived, scope, item.span)
                return derived
        table = catalog.table(item.name)
        if table is None:
            raise self.unknown_table(item.name, item.span)
        return self._scan(item, table, "HEAD" if table.tree else None, scope)

    def _table_function(self, item: ast.TableFunction, scope: Scope) -> bound.Scan:
        table = catalog.table(item.name)
        if table is None:
            raise self.unknown_table(item.name, item.span)
        if len(item.args) > table.tree:
            raise self.error(
                "argument_count",
                f"{table.name} takes {'one revision' if table.tree else 'no arguments'}",
                item.span,
                "such as files('v1.0')",
            )
        revision = "HEAD" if table.tree else None
        for arg in item.args:
            revision = self.expressions.text_constant(arg, Scope(None), table.name)
        return self._scan(item, table, revision, scope)

    def _scan(
        self,
        item: ast.TableName | ast.TableFunction,
        table: catalog.Table,
        revision: str | None,
        scope: Scope,
    ) -> bound.Scan:
        scan = bound.Scan(self.next_id(), item.alias or item.name, table, revision, item.span)
        self._add(scan, scope, item.span)
        return scan

    def unknown_table(self, name: str, span: Span) -> QueryError:
        """Returns the error for a name that is no table."""
        known = [n for t in catalog.TABLES for n in (t.name, *t.aliases)]
        known += [n for ctes in self.ctes for n in ctes]
        other = dialects.TABLES.get(name.lower())
        near = [other] if other else difflib.get_close_matches(name.lower(), known, 1)
        return self.error(
            "unknown_table",
            f'no table "{name}"',
            span,
            f'did you mean "{near[0]}"?' if near else "SHOW TABLES lists them",
        )

    def _join(self, item: ast.Join, scope: Scope) -> bound.Join:
        first = len(scope.relations)
        left = self._from(item.left, scope)
        left_relations = scope.relations[first:]
        right = self._from(item.right, scope)
        right_relations = scope.relations[first + len(left_relations) :]
        if item.kind == "cross":
            return bound.Join("cross", left, right, None)
        if item.on is not None:
            scope.clause = "ON"
            on = self.expressions.condition(item.on, scope, "ON")
            scope.clause = ""
        else:
            on = joins.using(self, item, scope, left_relations, right_relations)
        if item.kind in ("semi", "anti"):
            for relation in right_relations:
                scope.relations.remove(relation)
        return bound.Join(item.kind, left, right, on)

    def _star(self, star: ast.Star, scope: Scope) -> list[tuple[str, bound.Expr]]:
        relations = scope.relations
        if star.table is not None:
            relations = [r for r in relations if r.alias.lower() == star.table.lower()]
            if not relations:
                raise self.error("unknown_table", f'no table "{star.table}" in FROM', star.span)
        elif not relations:
            raise self.error("unknown_table", "SELECT * needs a FROM", star.span)
        exclude = {e.lower() for e in star.exclude}
        seen = set()
        result: list[tuple[str, bound.Expr]] = []
        shown_repo = False
        for r in relations:
            columns: list[tuple[str, bound.Expr]]
            if isinstance(r, bound.Scan):
                columns = [(c.name, bound.Column(r, c)) for c in r.table.columns]
            else:
                columns = [
                    (n, bound.DerivedColumn(r.id, i, t))
                    for i, (n, t) in enumerate(zip(r.names, r.types, strict=True))
                ]
            for name, own in columns:
                column = own
                if star.table is None:
                    if r.id in scope.merged.get(name.lower(), ()):
                        continue
                    merged = scope.coalesced.get(name.lower())
                    if merged is not None and r.id in joins.read(merged):
                        column = merged
                if name == "repo" and star.table is None:
                    if shown_repo:
                        continue
                    shown_repo = True
                seen.add(name.lower())
                if name.lower() not in exclude:
                    result.append((name, column))
        for name in sorted(exclude - seen):
            raise self.error("unknown_column", f'EXCLUDE names no column "{name}"', star.span)
        return result
