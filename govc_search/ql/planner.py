"""Decides which index serves which predicate: bound query to plan.

Every pass looks at one kind of predicate. A predicate that no index can narrow, or only to so
many candidates that reading them costs more than a scan, is scanned; the answer is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from govc_search import catalog, textquery
from govc_search.errors import QueryError
from govc_search.ql import bound, candidates, patterns
from govc_search.ql.page import page_of
from govc_search.ql.pins import of_refs, pinned
from govc_search.ql.plan import (
    Access,
    Exactness,
    GraphFunction,
    LineFilter,
    LineTest,
    Members,
    Plan,
    RowSet,
    TextScan,
    TopK,
)
from govc_search.ql.protocols import Text
from govc_search.ql.trees import tree_scans

__all__ = ["plan"]

# Checking one change by id costs about fifteen times what a scan spends on it (measured: 10 us
# against 100 ms for 136,000), so beyond this share of all changes a scan wins.
_LINES_SHARE = 0.06
# The same for conditions on other text (measured on 82,000 commits). A message costs 4 us to
# fetch and check, a scan of all of them 50 ms and more, for the table unpacks thousands to read
# one. Other columns are scanned in 2 to 15 ms, so candidates have to be few.
_MESSAGES_SHARE = 0.15
_ROWS_SHARE = 0.02
_CANDIDATES_ALWAYS = 200
# So many rows of a ranked page bring along what the table is slow to find.
_BROUGHT_ROWS = 200


def plan(query: bound.BoundQuery, text: Text | None, as_of: int) -> Plan:
    """Returns the plan; without a text index (`text` None) every predicate is scanned."""
    result = Plan(query)
    _Planner(result, text, as_of).run()
    return result


class _Planner:
    def __init__(self, plan: Plan, text: Text | None, as_of: int) -> None:
        self.plan = plan
        self.text = text
        self.as_of = as_of
        self.count = 0
        self.repos: dict[bound.Scan, frozenset[str]] = {}

    def run(self) -> None:
        for node in bound.walk(self.plan.query):
            match node:
                case bound.TextMatch() if node not in self.plan.accesses:
                    self.plan.accesses[node] = self._text_match(node)
                case bound.LineMatch() if node not in self.plan.accesses:
                    self.plan.accesses[node] = self._lines(
                        LineTest(node.sides, node.mode, node.pattern)
                    )
                case bound.RevisionMatch() if node not in self.plan.accesses:
                    repos = self.repos.get(node.scan)
                    scan = RowSet(self._name("g"), node.kind, node.revision, repos, node.span)
                    self.plan.accesses[node] = Access(Exactness.EXACT, scan)
                case bound.GraphCall() if node not in self.plan.functions:
                    name = self._name("g")
                    self.plan.functions[node] = GraphFunction(
                        name, node, self._asked(node.repo), _own_commit(node)
                    )
                case bound.BoundSelect():
                    self.repos |= pinned(node)
                    self._line_filters(node)
                    self._members(node)
        for node in bound.walk(self.plan.query):
            if isinstance(node, bound.BoundSelect):
                self._text_filters(node)
        # Scores build on the searches that serve the predicates.
        for node in bound.walk(self.plan.query):
            if isinstance(node, bound.BoundQuery) and isinstance(node.body, bound.BoundSelect):
                self._scores(node.body, node.order_by)
            elif isinstance(node, bound.BoundSelect):
                self._scores(node, ())
        self.plan.trees = tree_scans(self.plan.query)
        self._top_k()
        self.plan.page = page_of(self.plan)

    def _name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def _asked(self, repo: bound.Expr | None) -> frozenset[str] | None:
        """Returns the only repositories that an expression can name, None for any."""
        if isinstance(repo, bound.Constant):
            return frozenset([repo.value] if isinstance(repo.value, str) else [])
        return self.repos.get(repo.scan) if isinstance(repo, bound.Column) else None

    def _members(self, select: bound.BoundSelect) -> None:
        """Finds what of ref_commits can be in the answer, since all of it is too much to make."""
        hashes = pinned(select, "hash")
        for scan in bound.scans(select.from_):
            if scan.table.name != "ref_commits":
                continue
            refs = catalog.table("refs")
            assert refs is not None
            # No other scan of the statement has its number.
            source = bound.Scan(0, "refs", refs)
            conditions, names = of_refs(select, scan, source)
            of = hashes.get(scan)
            named = {c.name: bound.Column(source, c) for c in refs.columns}
            if not names and of is None:
                kinds = (bound.constant("branch"), bound.constant("tag"))
                one_of = bound.Apply("({0} IN ({1}, {2}))", (named["type"], *kinds), "BOOLEAN")
                conditions = (*conditions, one_of)
                self.plan.warnings.append(
                    f"{scan.alias}: no condition on ref, name or hash, so of branches and tags alone"
                )
            columns = ("repo", "full_name")
            body = bound.BoundSelect(
                columns, tuple(named[c] for c in columns), source, conditions, (),
                having=None, qualify=None, distinct=False,
            )  # fmt: skip
            order = tuple(bound.OrderKey(bound.Output(i, "TEXT"), False, None) for i in (0, 1))
            query = bound.BoundQuery(body, (), order, None, 0)
            found = None if of is None else tuple(sorted(of))
            self.plan.members[scan] = Members(self._name("g"), query, found, names)

    def _text_match(self, node: bound.TextMatch) -> Access:
        if self.text is None:
            return Access(Exactness.UNSUPPORTED, None, "indexes are off")
        if node.scan is None or node.scan.table.index is None:
            return Access(Exactness.UNSUPPORTED, None, "this text is not indexed")
        table = node.scan.table
        assert table.index is not None
        query, whole = _index_query(node)
        if query is None:
            return Access(Exactness.UNSUPPORTED, None, "what it excludes may stand beside it")
        try:
            served = self.text.serve(table.index, query)
        except QueryError as e:
            e.span = e.span or node.span
            raise
        if Exactness[served.exactness.name] is Exactness.UNSUPPORTED:
            return Access(Exactness.UNSUPPORTED, None, "the index cannot narrow it")
        scan = TextScan(self._name("x"), table.index, query, served.estimate)
        exact = Exactness[served.exactness.name] if whole else Exactness.INEXACT
        return Access(exact, scan)

    def _lines(self, test: LineTest) -> Access:
        """Serves a predicate on changed lines by the changes that match.

        They are candidates from the index of changes, each then checked by its lines.
        """
        node = textquery_of(test)
        if self.text is None:
            return Access(Exactness.UNSUPPORTED, None, "indexes are off")
        estimate, reason = self._candidates("changes", node, _LINES_SHARE)
        if reason:
            return Access(Exactness.UNSUPPORTED, None, reason)
        scan = TextScan(self._name("x"), "changes", node, estimate, lines=test)
        return Access(Exactness.EXACT, scan)

    def _candidates(self, table: str, node: textquery.Node, share: float) -> tuple[int, str]:
        """Returns at most about how many rows a query leaves to check, or why a scan is better."""
        assert self.text is not None
        served = self.text.serve(table, node)
        if Exactness[served.exactness.name] is Exactness.UNSUPPORTED:
            return 0, "no word in it that the index could look up"
        limit = max(_CANDIDATES_ALWAYS, int(self.text.documents(table) * share))
        estimate = served.estimate
        if limit < estimate <= 20 * limit:
            estimate = self.text.count(table, node, self.as_of)
        if estimate > limit:
            return estimate, f"{estimate} candidates are more than a scan is worth"
        return estimate, ""

    def _text_filters(self, select: bound.BoundSelect) -> None:
        """Finds conjuncts on indexed text, which narrow the rows that are read.

        They are asked of those again: the index knows neither case nor what stands between words.
        """
        for scan in bound.scans(select.from_):
            table = scan.table.index
            if self.text is None or table is None or scan in self.plan.narrowed:
                continue
            needed = (candidates.required(conjunct, scan) for conjunct in select.where)
            nodes = tuple(dict.fromkeys(n for n in needed if n is not None))
            if not nodes:
                continue
            node = nodes[0] if len(nodes) == 1 else textquery.And(nodes)
            brings = ("message",) if self._reads(scan, "b.message", "b.body") else ()
            share = _MESSAGES_SHARE if brings else _ROWS_SHARE
            estimate, reason = self._candidates(table, node, share)
            if reason:
                access = Access(Exactness.UNSUPPORTED, None, reason)
            else:
                served = TextScan(self._name("x"), table, node, estimate, brings=brings)
                access = Access(Exactness.INEXACT, served)
            self.plan.narrowed[scan] = access

    def _line_filters(self, select: bound.BoundSelect) -> None:
        """Finds conjuncts on whole lines, which narrow the hunks and changes that are read."""
        for scan in bound.scans(select.from_):
            if scan.table.name not in ("lines", "hunks"):
                continue
            filters = []
            for conjunct in select.where:
                found = _line_filter(conjunct, scan)
                if found is None:
                    continue
                filters.append(found[0])
                if found[0] not in self.plan.accesses:
                    test = LineTest(found[1], found[0].mode, found[0].pattern)
                    self.plan.accesses[found[0]] = self._lines(test)
            if filters:
                self.plan.line_filters[scan] = tuple(filters)

    def _reads(self, scan: bound.Scan, *stored: str) -> bool:
        """Returns whether the query reads one of these stored columns of commits."""
        if scan.table.name != "commits":
            return False
        columns = (n for n in bound.walk(self.plan.query) if isinstance(n, bound.Column))
        return any(
            c.scan == scan and any(name in c.column.expression for name in stored) for c in columns
        )

    def _scores(self, select: bound.BoundSelect, order: tuple[bound.OrderKey, ...]) -> None:
        """Gives each scan whose score is asked for the search that computes it.

        The score is that of all its text predicates together, whatever serves them.
        """
        wanted = {
            n.scan
            for n in bound.walk((select, order), into_queries=False)
            if isinstance(n, bound.Score)
        }
        for scan in bound.scans(select.from_):
            if scan not in wanted or scan in self.plan.scores or scan.table.index is None:
                continue
            matches = [
                n
                for e in select.where
                for n in _positive(e)
                if isinstance(n, bound.TextMatch) and n.scan == scan
            ]
            found = dict.fromkeys(_index_query(m)[0] for m in matches)
            nodes = tuple(n for n in found if n is not None)
            if not nodes or self.text is None:
                continue
            node = nodes[0] if len(nodes) == 1 else textquery.Or(nodes)
            served = self.text.serve(scan.table.index, node)
            if Exactness[served.exactness.name] is Exactness.UNSUPPORTED:
                continue
            existing = self.plan.accesses.get(matches[0]) if len(matches) == 1 else None
            if existing and isinstance(existing.scan, TextScan):
                scored = TextScan(
                    existing.scan.name,
                    existing.scan.table,
                    node,
                    existing.scan.estimate,
                    scored=True,
                )
                self.plan.accesses[matches[0]] = Access(existing.exactness, scored)
                exact = existing.exactness is Exactness.EXACT
                if exact and matches[0] in select.where and bound.kept(select.from_, scan):
                    self.plan.joined[scan] = matches[0]
            else:
                scored = TextScan(
                    self._name("x"), scan.table.index, node, served.estimate, scored=True
                )
            self.plan.scores[scan] = scored

    def _top_k(self) -> None:
        """Lets the text index alone find the first rows where nothing but the score decides."""
        query = self.plan.query
        select = query.body
        if not isinstance(select, bound.BoundSelect) or query.limit is None or not query.order_by:
            return
        scan = select.from_
        plain = not (select.is_grouped or select.qualify or select.distinct)
        if not isinstance(scan, bound.Scan) or not plain or scan not in self.plan.scores:
            return
        if any(
            isinstance(n, bound.Aggregate | bound.WindowCall)
            for e in select.exprs
            for n in bound.walk(e)
        ):
            return
        first = query.order_by[0]
        key = select.exprs[first.expr.index] if isinstance(first.expr, bound.Output) else first.expr
        if key != bound.Score(scan) or not first.descending:
            return
        if len(select.where) != 1 or not isinstance(select.where[0], bound.TextMatch):
            return
        access = self.plan.accesses[select.where[0]]
        scored = self.plan.scores[scan]
        if (
            access.exactness is not Exactness.EXACT
            or access.scan != scored
            or scan.table.name != scored.table
        ):
            return
        rows = query.limit + query.offset
        brings: list[str] = []
        if rows <= _BROUGHT_ROWS:
            brings += ["message"] if self._reads(scan, "b.message", "b.body") else []
            brings += ["subject"] if self._reads(scan, "b.subject") else []
        limited = replace(scored, limit=rows, brings=tuple(brings))
        self.plan.accesses[select.where[0]] = Access(Exactness.EXACT, limited)
        self.plan.scores[scan] = limited
        self.plan.top_k = TopK(limited, rows)


def _own_commit(call: bound.GraphCall) -> bound.Scan | None:
    """Returns the table whose rows' own commits a function is asked of, if it costs little for all."""
    columns = [a for a in call.args if isinstance(a, bound.Column)]
    others = [a for a in call.args if isinstance(a, bound.Constant) and isinstance(a.value, str)]
    if call.name not in ("first_tag", "is_ancestor") or len(columns) != 1:
        return None
    (column,) = columns
    own = column.column.name == "hash" and column.scan.table.position is not None
    repo = call.repo
    same = (
        isinstance(repo, bound.Column) and repo.scan == column.scan and repo.column.name == "repo"
    )
    return column.scan if own and same and len(others) == len(call.args) - 1 else None


def textquery_of(test: LineTest) -> textquery.Node:
    """Returns the text query whose hits hold every change with a line that matches."""
    if test.mode == "regex":
        return textquery.Regex(test.sides, test.pattern)
    return textquery.Substring(test.sides, test.pattern)


def with_fields(node: textquery.Node, fields: tuple[str, ...]) -> textquery.Node:
    """Returns the query with what it asks of the text of a line asked of other fields."""
    match node:
        case textquery.And() | textquery.Or() | textquery.AtLeast():
            return replace(node, children=tuple(with_fields(c, fields) for c in node.children))
        case textquery.Not() | textquery.Boost():
            return replace(node, child=with_fields(node.child, fields))
        case _:
            return replace(node, fields=fields) if node.fields == ("text",) else node


def _index_query(match: bound.TextMatch) -> tuple[textquery.Node | None, bool]:
    """Returns what to ask the index for a predicate, and whether that is the same question.

    Where a field of the index holds more than the row's own text (all hunks of a change, the
    e-mail beside the name), only what has to be there narrows, not what must be absent.
    """
    assert match.scan is not None
    query = match.node
    column = match.subjects[0][1]
    if isinstance(column, bound.Column) and column.column.lines:
        query = with_fields(query, column.column.lines)
    if match.scan.table.name == match.scan.table.index and _holds_whole_fields(match):
        return query, True
    return _without_exclusions(query), False


def _without_exclusions(node: textquery.Node) -> textquery.Node | None:
    """Returns a query for a superset that excludes nothing, or None where that is everything."""
    match node:
        case textquery.Not():
            return None
        case textquery.Boost():
            child = _without_exclusions(node.child)
            return None if child is None else replace(node, child=child)
        case textquery.And():
            kept = tuple(c for n in node.children if (c := _without_exclusions(n)) is not None)
            return replace(node, children=kept) if len(kept) > 1 else kept[0] if kept else None
        case textquery.Or() | textquery.AtLeast():
            parts = tuple(c for n in node.children if (c := _without_exclusions(n)) is not None)
            return replace(node, children=parts) if len(parts) == len(node.children) else None
    return node


def _within_line(needle: str) -> bool:
    return "\n" not in needle


def _holds_whole_fields(match: bound.TextMatch) -> bool:
    """Returns whether the predicate's columns are all that its index fields hold."""
    assert match.scan is not None
    texts = match.scan.table.texts
    return all(
        isinstance(column, bound.Column)
        and f in texts
        and column.column.expression == texts[f].expression
        for f, column in match.subjects
    )


def _positive(expr: bound.Expr) -> Iterator[bound.Expr]:
    """Yields what stands in an expression but under no NOT: what may make a row match."""
    match expr:
        case bound.Junction():
            for operand in expr.operands:
                yield from _positive(operand)
        case bound.Negation():
            return
        case _:
            yield expr


def _line_filter(expr: bound.Expr, scan: bound.Scan) -> tuple[LineFilter, tuple[str, ...]] | None:
    modes = {bound.CONTAINS: "contains", bound.MATCHES: "regex"}
    if not isinstance(expr, bound.Apply) or expr.sql not in modes:
        return None
    column, pattern = expr.args
    if not isinstance(column, bound.Column) or column.scan != scan or not column.column.lines:
        return None
    if (
        not isinstance(pattern, bound.Constant)
        or not isinstance(pattern.value, str)
        or not pattern.value
    ):
        return None
    mode = modes[expr.sql]
    # Globs are regular expressions too, but of the whole text: their ends are not line ends.
    by_line = patterns.is_by_line if mode == "regex" else _within_line
    if not by_line(pattern.value):
        return None
    return LineFilter(scan, mode, pattern.value), column.column.lines
