"""What the conditions of one SELECT leave of its tables, as far as the text index can tell.

All conjuncts of a table that the index serves are one search of it. Where that leaves few rows,
conditions on changed lines are asked of those alone, however many others would meet them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from govc_search import textquery
from govc_search.facts import ANYTHING, Fact, OneOf, Within, names
from govc_search.ql import bound, candidates, patterns
from govc_search.ql.pins import alike
from govc_search.ql.plan import Access, Exactness, LineFilter, LineTest, Plan, TextScan
from govc_search.ql.protocols import Text

__all__ = ["Narrowing", "textquery_of"]

# Checking one change by id costs about fifteen times what a scan spends on it (measured: 10 us
# against 100 ms for 136,000), so beyond this share of all changes a scan wins.
_LINES_SHARE = 0.06
# The same for conditions on other text (measured on 82,000 commits). A message costs 4 us to
# fetch and check, a scan of all of them 50 ms and more, for the table unpacks thousands to read
# one. Other columns are scanned in 2 to 15 ms, so candidates have to be few, and fewer where these
# are short and alike, as paths and names are (measured on a million commits).
_MESSAGES_SHARE = 0.15
_ROWS_SHARE = 0.02
_PATHS_SHARE = 0.004
_NAMES_SHARE = 0.001
_CANDIDATES_ALWAYS = 200
# So many commits are named to the index of changes one by one.
_OWNERS = 2_000

_EVERYTHING = textquery.And(())


class Narrowing:
    """Serves the conjuncts of SELECTs by the text index, `name` gives names to its searches."""

    def __init__(
        self, plan: Plan, text: Text | None, as_of: int, name: Callable[[str], str]
    ) -> None:
        self.plan = plan
        self.text = text
        self.as_of = as_of
        self.name = name
        # What is left of a table by all that the index says of its conjuncts.
        self.searches: dict[bound.Scan, TextScan] = {}

    def select(self, select: bound.BoundSelect) -> None:
        """Narrows the tables of a SELECT by its conjuncts."""
        scans = list(bound.scans(select.from_))
        for scan in scans:
            if self.text is not None and scan.table.index is not None:
                self._filters(select, scan)
                self._together(select, scan)
        owners = alike(select)
        for scan in scans:
            self._lines(select, scan, [b for a, b in owners if a == scan])

    def lines(self, test: LineTest) -> Access:
        """Serves a predicate on changed lines by the changes that match.

        They are candidates from the index of changes, each then checked by its lines.
        """
        if self.text is None:
            return Access(Exactness.UNSUPPORTED, None, "indexes are off")
        node = textquery_of(test)
        estimate, reason = self._candidates("changes", node, _LINES_SHARE)
        if reason:
            return Access(Exactness.UNSUPPORTED, None, reason)
        scan = TextScan(self.name("x"), "changes", node, estimate, lines=test)
        return Access(Exactness.EXACT, scan)

    def _limit(self, table: str, share: float) -> int:
        assert self.text is not None
        return max(_CANDIDATES_ALWAYS, int(self.text.documents(table) * share))

    def _candidates(
        self, table: str, node: textquery.Node, share: float, within: Within = ANYTHING
    ) -> tuple[int, str]:
        """Returns at most about how many rows a query leaves to check, or why a scan is better."""
        assert self.text is not None
        served = self.text.serve(table, node)
        if Exactness[served.exactness.name] is Exactness.UNSUPPORTED:
            return 0, "no word in it that the index could look up"
        limit = self._limit(table, share)
        estimate = min([served.estimate, *self._terms(table, within.facts)])
        if limit < estimate <= 20 * limit:
            estimate = self.text.count(table, node, self.as_of, within)
        if estimate > limit:
            return estimate, f"{estimate} candidates are more than a scan is worth"
        return estimate, ""

    def estimate(self, table: str, node: textquery.Node, facts: Iterable[Fact]) -> int:
        """Returns at most about how many rows meet a query and facts."""
        assert self.text is not None
        return min([self.text.serve(table, node).estimate, *self._terms(table, facts)])

    def _terms(self, table: str, facts: Iterable[Fact]) -> list[int]:
        assert self.text is not None
        return [self.text.estimate(table, f) for f in facts if names(f)]

    def _filters(self, select: bound.BoundSelect, scan: bound.Scan) -> None:
        """Finds conjuncts that narrow the rows of a table which are read.

        They are asked of those again: the index knows neither case nor what stands between words.
        """
        table = scan.table.index
        assert table is not None
        facts = facts_of(select.where, scan)
        nodes = _needed(select, scan)
        brings = ("message",) if reads(self.plan, scan, "b.message", "b.body") else ()
        if nodes:
            share = _MESSAGES_SHARE if brings else _ROWS_SHARE
            share = _PATHS_SHARE if table == "changes" else share
            node = _all(nodes)
            estimate, reason = self._candidates(table, node, share, Within(None, facts))
        elif any(isinstance(f, OneOf) for f in facts):
            node, estimate = _EVERYTHING, min(self._terms(table, facts))
            # Of what is not text, nothing need be said where the table is better at it.
            if estimate > self._limit(table, _NAMES_SHARE):
                return
            reason = ""
        else:
            return
        if reason:
            self.plan.narrowed[scan] = Access(Exactness.UNSUPPORTED, None, reason)
            return
        served = TextScan(
            self.name("x"), table, node, estimate, brings=brings, within=Within(None, facts)
        )
        self.plan.narrowed[scan] = Access(Exactness.INEXACT, served)

    def _together(self, select: bound.BoundSelect, scan: bound.Scan) -> None:
        """Makes one search of all conjuncts on a table's words."""
        matches = self.matches(select, scan)
        narrowed = self.plan.narrowed.get(scan)
        served = [*(self.plan.accesses[m].scan for m in matches), narrowed and narrowed.scan]
        scans = list(dict.fromkeys(s for s in served if isinstance(s, TextScan)))
        if not scans:
            return
        first = scans[0]
        facts = facts_of(select.where, scan)
        found = replace(
            scans[-1],
            name=first.name,
            node=_all(tuple(dict.fromkeys(s.node for s in scans if s.node != _EVERYTHING))),
            estimate=min(
                [*(s.estimate for s in scans), *self._terms(first.table, facts)],
            ),
            within=Within(None, facts),
        )
        for match in matches:
            self.plan.accesses[match] = replace(self.plan.accesses[match], scan=found)
        if narrowed is not None and narrowed.scan is not None:
            self.plan.narrowed[scan] = replace(narrowed, scan=found)
        self.searches[scan] = found

    def matches(self, select: bound.BoundSelect, scan: bound.Scan) -> list[bound.TextMatch]:
        """Returns the conjuncts on the words of a table that the index serves."""
        return [
            c
            for c in select.where
            if isinstance(c, bound.TextMatch)
            and c.scan == scan
            and self.plan.accesses[c].scan is not None
        ]

    def _lines(self, select: bound.BoundSelect, scan: bound.Scan, owners: list[bound.Scan]) -> None:
        """Finds conjuncts on changed lines, and of which rows alone they need be asked."""
        for conjunct in select.where:
            if isinstance(conjunct, bound.LineMatch) and conjunct.scan == scan:
                test = LineTest(conjunct.sides, conjunct.mode, conjunct.pattern)
                self._among(conjunct, test, scan, owners)
        if scan.table.name not in ("lines", "hunks"):
            return
        filters = []
        for conjunct in select.where:
            found = _line_filter(conjunct, scan)
            if found is None:
                continue
            filters.append(found[0])
            test = LineTest(found[1], found[0].mode, found[0].pattern)
            if found[0] not in self.plan.accesses:
                self.plan.accesses[found[0]] = self.lines(test)
            self._among(found[0], test, scan, owners)
        if filters:
            self.plan.line_filters[scan] = tuple(filters)

    def _among(
        self,
        predicate: bound.LineMatch | LineFilter,
        test: LineTest,
        scan: bound.Scan,
        owners: list[bound.Scan],
    ) -> None:
        """Asks a predicate on changed lines of what other conjuncts leave, where that is less."""
        if self.text is None:
            return
        served = self.plan.accesses[predicate].scan
        before = served.estimate if isinstance(served, TextScan) else None
        node = textquery_of(test)
        exactness = self.text.serve("changes", node).exactness
        told = node if Exactness[exactness.name] is not Exactness.UNSUPPORTED else _EVERYTHING
        name = served.name if isinstance(served, TextScan) else ""
        own = self.searches.get(scan)
        if own is not None and own.table == "changes":
            if own.estimate > self._limit("changes", _LINES_SHARE):
                return
            others = Within(None if own.node == _EVERYTHING else own.node, own.within.facts)
            estimate = min(own.estimate, own.estimate if before is None else before)
            found = TextScan(
                name or self.name("x"), "changes", told, estimate, lines=test, within=others
            )
            self.plan.accesses[predicate] = Access(Exactness.EXACT, found)
            return
        near = [self.searches[s] for s in (scan, *owners) if s in self.searches]
        near = [s for s in near if s.table == "commits" and s.estimate <= _OWNERS]
        if not near:
            return
        least = min(near, key=lambda s: s.estimate)
        each = self.text.documents("changes") / max(1, self.text.documents("commits"))
        estimate = int(least.estimate * each) + 1
        if before is not None and before <= estimate:
            return
        found = TextScan(name or self.name("x"), "changes", told, estimate, lines=test, among=least)
        self.plan.accesses[predicate] = Access(Exactness.EXACT, found)


def facts_of(conjuncts: Iterable[bound.Expr], scan: bound.Scan) -> tuple[Fact, ...]:
    """Returns what conjuncts say of a table that its index holds beside words."""
    found = (candidates.held(c, scan) for c in conjuncts)
    return tuple(dict.fromkeys(f for f in found if f is not None))


def reads(plan: Plan, scan: bound.Scan, *stored: str) -> bool:
    """Returns whether the query reads one of these stored columns of commits."""
    if scan.table.name != "commits":
        return False
    columns = (n for n in bound.walk(plan.query) if isinstance(n, bound.Column))
    return any(
        c.scan == scan and any(name in c.column.expression for name in stored) for c in columns
    )


def textquery_of(test: LineTest) -> textquery.Node:
    """Returns the text query whose hits hold every change with a line that matches."""
    if test.mode == "regex":
        return textquery.Regex(test.sides, test.pattern)
    return textquery.Substring(test.sides, test.pattern)


def _needed(select: bound.BoundSelect, scan: bound.Scan) -> tuple[textquery.Node, ...]:
    needed = (candidates.required(conjunct, scan) for conjunct in select.where)
    return tuple(dict.fromkeys(n for n in needed if n is not None))


def _all(nodes: tuple[textquery.Node, ...]) -> textquery.Node:
    return nodes[0] if len(nodes) == 1 else textquery.And(nodes)


def _within_line(needle: str) -> bool:
    return "\n" not in needle


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
