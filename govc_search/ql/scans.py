"""The tables of FROM as SQL: their columns, and what the indexes leave of their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from govc_search import catalog, fragments, textquery
from govc_search.ql import bound
from govc_search.ql.plan import Plan, TextScan
from govc_search.ql.relations import scans

__all__ = ["Scans"]

# A base column of a scan, as its conditions name it.
_BASE: Final = re.compile(r"\bb\.(\w+)")
# What is read from hits that bring a column, in place of what is read from the table.
_BROUGHT: Final = {
    "message": (("b.message", "{}.message"), ("b.body", "substr({}.message, b.body_start)")),
    "subject": (("b.subject", "{}.subject"),),
}


class Scans:
    """Writes the tables of one statement; `text` writes a text as a parameter.

    What each has to deliver is noted while expressions are written, so FROM is written last.
    """

    def __init__(self, plan: Plan, text: Callable[[str], str]) -> None:
        self.plan = plan
        self.text = text
        # Columns that each scan has to deliver.
        self._used: dict[int, dict[str, str]] = {}
        self._joins: dict[int, set[str]] = {}
        # Conditions that are asked where a scan reads its rows, written as those of a WHERE.
        self._own: dict[int, list[str]] = {}
        # Relations with the changes that a scan of hunks can show at all.
        self._found: dict[int, list[str]] = {}

    def found_by(self, match: bound.LineMatch) -> None:
        """Notes that a scan shows just what a predicate on the lines of hunks keeps."""
        access = self.plan.accesses[match]
        if match.scan.table.name == "hunks" and access.scan is not None:
            self._found.setdefault(match.scan.id, []).append(access.scan.name)

    def asks(self, scan: bound.Scan, condition: str) -> None:
        """Notes a condition that a scan asks itself."""
        self._own.setdefault(scan.id, []).append(condition)

    def relation(
        self, relation: bound.Relation, inner: dict[int, str], conditions: dict[int, str]
    ) -> str:
        """Returns FROM: `inner` has the sub-queries, `conditions` those of joins."""
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
        """Returns a table with the columns that were asked of it."""
        table = scan.table
        used = dict(self._used.get(scan.id, {}))
        joins, where = self._hits(scan, used)
        own = self._own_conditions(scan, used)
        whole = [c for c in own if table.name == "lines" and _tells_no_lines(c)]
        where += [c for c in own if c not in whole]
        items = [f"{sql} AS {_quote(name)}" for name, sql in used.items()]
        source = f"{table.source} b"
        joins += [table.joins[join] for join in sorted(self._joins.get(scan.id, ()))]
        texts = self.plan.texts.get(scan)
        if table.name == "hunks" and texts is not None:
            source = f"{texts.name} b"
        elif table.name == "hunks" and (found := self._candidates(scan)):
            read = {*_BASE.findall(" ".join([*items, *where, *joins]))}
            source = _fenced(sorted(read), found)
        elif table.name == "ref_commits":
            source = f"{self.plan.members[scan].name} b"
        elif table.name == "lines":
            source = f"({self._lines(scan, ' '.join([*items, *where]), whole)}) b"
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

    def _hits(self, scan: bound.Scan, used: dict[str, str]) -> tuple[list[str], list[str]]:
        """Returns the joins and conditions that leave a scan what it may see and the index found.

        Columns in `used` that the hits bring along are read from them from now on.
        """
        joins: list[str] = []
        where: list[str] = []
        # Whether rows after the snapshot would be seen: hits are never after it.
        unseen = bool(scan.table.where)
        narrowed = self.plan.narrowed.get(scan)
        if scan in self.plan.texts:
            # The relation in the table's place has just what was found.
            unseen = False
        elif narrowed is not None and isinstance(narrowed.scan, TextScan):
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

    def _candidates(self, scan: bound.Scan) -> list[str]:
        """Returns what the indexes say of the changes that the line filters can match."""
        accesses = (self.plan.accesses[f] for f in self.plan.line_filters.get(scan, ()))
        names = [a.scan.name for a in accesses if a.scan] + self._found.get(scan.id, [])
        return [f"change_id IN (SELECT id FROM {name})" for name in names]

    def _own_conditions(self, scan: bound.Scan, used: dict[str, str]) -> list[str]:
        """Returns the conditions that a scan asks itself, over its source."""
        conditions = self._own.get(scan.id, [])
        for name, sql in used.items():
            conditions = [c.replace(f"t{scan.id}.{_quote(name)}", sql) for c in conditions]
        return conditions

    def _lines(self, scan: bound.Scan, uses: str, conditions: Sequence[str]) -> str:
        """Returns the rows of lines made from hunks, with the base columns that `uses` names.

        Hunks are narrowed first, by the line filters and by `conditions` that hold for all lines
        of one side or for none: making lines costs more than finding text.
        """
        names = [n for n in catalog.LINE_COLUMNS if f"b.{n}" in uses or n == "change_id"]
        filters = self.plan.line_filters.get(scan, ())
        texts = self.plan.texts.get(scan)
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
            if texts is not None:
                source = f"{texts.name} h"
            elif found := self._candidates(scan):
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
        """Returns a column as an expression."""
        used = self._used.setdefault(scan.id, {})
        used[column.name] = column.expression
        self._joins.setdefault(scan.id, set()).update(column.joins)
        return f"t{scan.id}.{_quote(column.name)}"

    def special(self, scan: bound.Scan, name: str, sql: str) -> str:
        """Returns what is no column of the catalog: `sql` over the table's source."""
        self._used.setdefault(scan.id, {})[name] = sql
        return f"t{scan.id}.{_quote(name)}"

    def key(self, scan: bound.Scan) -> str:
        """Returns what the text index calls a row."""
        assert scan.table.key is not None
        return self.special(scan, "_key", scan.table.key)

    def position(self, scan: bound.Scan) -> str:
        """Returns the position of a row's commit."""
        assert scan.table.position is not None
        return self.special(scan, "_position", scan.table.position)

    def row_keys(self, relation: bound.Relation | None) -> list[str]:
        """Returns what tells the rows of FROM from each other, as far as its tables do."""
        return [
            self.column(scan, column)
            for scan in scans(relation)
            for name in scan.table.order
            if (column := scan.table.column(name)) is not None
        ]

    def line_condition(self, mode: str, column: str, pattern: str) -> str:
        """Returns the condition that a text of lines has one that matches."""
        if mode == "regex":
            return self.pattern_condition(column, pattern)
        return f"contains({column}, {self.text(pattern)})"

    def pattern_condition(self, column: str, pattern: str) -> str:
        """Returns that a regular expression matches, asked where the texts are that it needs."""
        matches = f"regexp_matches({column}, {self.text(pattern)})"
        some = [f"contains({column}, {self.text(t)})" for t in fragments.texts_of(pattern)]
        return f"(({' OR '.join(some)}) AND {matches})" if some else matches


def _quote(name: str) -> str:
    return f'"{name}"'


def _fenced(columns: Sequence[str], found: Sequence[str], alias: str = "b") -> str:
    """Returns the hunks of candidates alone.

    Behind a fence: DuckDB would ask of all texts what only those of candidates are asked.
    """
    where = " AND ".join(found)
    return f"(SELECT {', '.join(columns)} FROM hunks WHERE {where} OFFSET 0) {alias}"


def _of_a_side(condition: str, side: int) -> str:
    """Returns a condition on base columns of lines as one on a side of the hunks they are in."""
    return _BASE.sub(lambda column: catalog.LINE_COLUMNS[column[1]][side], condition)


def _tells_no_lines(condition: str) -> bool:
    return not any("unnest" in _of_a_side(condition, side) for side in (0, 1))


def _take(hits: TextScan, used: dict[str, str], alias: str) -> bool:
    """Makes columns read what hits bring, and returns whether any does."""
    taken = False
    for stored, brought in (pair for name in hits.brings for pair in _BROUGHT[name]):
        for name, sql in used.items():
            if stored in sql:
                used[name] = sql.replace(stored, brought.format(alias))
                taken = True
    return taken
