"""Decides which index serves which predicate: bound query to plan.

Every pass looks at one kind of predicate. A predicate that no index can narrow, or only to so
many candidates that reading them costs more than a scan, is scanned; the answer is the same.
"""

from __future__ import annotations

from govc_search import catalog
from govc_search.errors import QueryError
from govc_search.ql import bound, ranking
from govc_search.ql.hunk_texts import hunk_texts
from govc_search.ql.narrowing import Narrowing
from govc_search.ql.page import page_of
from govc_search.ql.pins import of_refs, pinned
from govc_search.ql.plan import (
    Access,
    Exactness,
    GraphFunction,
    LineTest,
    Members,
    Plan,
    RowSet,
    TextScan,
)
from govc_search.ql.protocols import Text
from govc_search.ql.queries import index_query
from govc_search.ql.trees import tree_scans

__all__ = ["plan"]


def plan(query: bound.BoundQuery, text: Text | None, as_of: int) -> Plan:
    """Returns the plan; without a text index (`text` None) every predicate is scanned."""
    result = Plan(query)
    _Planner(result, text, as_of).run()
    return result


class _Planner:
    def __init__(self, plan: Plan, text: Text | None, as_of: int) -> None:
        self.plan = plan
        self.text = text
        self.narrowing = Narrowing(plan, text, as_of, self._name)
        self.count = 0
        self.repos: dict[bound.Scan, frozenset[str]] = {}

    def run(self) -> None:
        for node in bound.walk(self.plan.query):
            match node:
                case bound.TextMatch() if node not in self.plan.accesses:
                    self.plan.accesses[node] = self._text_match(node)
                case bound.LineMatch() if node not in self.plan.accesses:
                    self.plan.accesses[node] = self.narrowing.lines(
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
                    self._members(node)
        self._narrow()
        self.plan.trees = tree_scans(self.plan.query)
        self.plan.page = self.plan.page or page_of(self.plan)

    def _narrow(self) -> None:
        for node in bound.walk(self.plan.query):
            if isinstance(node, bound.BoundSelect):
                self.narrowing.select(node)
        if self.text is None:
            return
        # Scores build on the searches that serve the predicates.
        for node in bound.walk(self.plan.query):
            if isinstance(node, bound.BoundQuery) and isinstance(node.body, bound.BoundSelect):
                ranking.score(self.plan, self.narrowing, node.body, node.order_by)
            elif isinstance(node, bound.BoundSelect):
                ranking.score(self.plan, self.narrowing, node, ())
        ranking.top_k(self.plan)
        ranking.alone(self.plan, self.narrowing)
        for node in bound.walk(self.plan.query):
            if isinstance(node, bound.BoundSelect):
                self.plan.texts |= hunk_texts(self.plan, node, self.text, self._name)

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
        query, whole = index_query(node)
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
