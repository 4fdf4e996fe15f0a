"""Trees: what a query needs of the files of a revision, and reading no more than that.

A row of `files` or `content` is read in stages, from the cheapest on: which repositories, their
lists of files, sizes, contents. A conjunct that speaks of such rows alone is asked as soon as
what it needs was read, and later stages are read of the rows that are left. The statement asks
all of them again, so that nothing here decides what an answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search import catalog
from govc_search.errors import QueryError
from govc_search.ql import bound
from govc_search.ql.pins import pinned
from govc_search.ql.plan import TreeScan
from govc_search.ql.protocols import Tree, Trees

__all__ = ["TreeReading", "tree_scans"]

_SUBMODULE: Final = "160000"
_LISTED: Final = [
    ("row", pa.int64()),
    *((name, pa.string()) for name in ("repo", "path", "mode", "blob")),
]
_SIZED: Final = [*_LISTED, ("size", pa.int64())]
# What the relation of a tree holds when it was read up to a stage.
_COLUMNS: Final = {
    "tree": _LISTED,
    "size": _SIZED,
    "content": [*_SIZED, ("content", pa.string()), ("is_binary", pa.bool_())],
}
# Conditions on contents are asked of so many bytes at a time.
_PART_BYTES: Final = 16 << 20
_HISTORY: Final = [("id", pa.uint64()), ("ordinal", pa.int64())]


# Planning


def tree_scans(query: bound.BoundQuery) -> dict[bound.Scan, TreeScan]:
    """Returns what has to be read of each tree that a query names."""
    needed: dict[bound.Scan, set[str]] = {}
    for node in bound.walk(query):
        if isinstance(node, bound.Scan) and node.table.tree:
            needed.setdefault(node, set())
        elif isinstance(node, bound.Column) and node.scan.table.tree:
            needed.setdefault(node.scan, set()).add(node.column.stage or "")
    filters: dict[bound.Scan, dict[str, tuple[bound.Expr, ...]]] = {}
    pins: dict[bound.Scan, frozenset[str]] = {}
    limits: dict[bound.Scan, int] = {}
    if needed:
        for node in bound.walk(query):
            if isinstance(node, bound.BoundSelect):
                pins |= pinned(node)
                for scan in bound.scans(node.from_):
                    if scan in needed:
                        filters[scan] = _filters(node, scan)
            elif isinstance(node, bound.BoundQuery) and (found := _first_rows(node)):
                limits[found[0]] = found[1]
    return {
        scan: TreeScan(
            f"f{i}",
            scan,
            next((s for s in reversed(catalog.STAGES[1:]) if s in stages), "tree"),
            "history" in stages,
            pins.get(scan),
            tuple(filters.get(scan, {}).items()),
            limits.get(scan),
        )
        for i, (scan, stages) in enumerate(needed.items(), 1)
    }


def _filters(select: bound.BoundSelect, scan: bound.Scan) -> dict[str, tuple[bound.Expr, ...]]:
    """Returns the conditions that can be asked of the scan's rows alone, by their stages."""
    found: dict[str, tuple[bound.Expr, ...]] = {}
    for conjunct in dict.fromkeys(_necessary(select, scan)):
        if stage := _stage(conjunct, scan):
            found[stage] = (*found.get(stage, ()), conjunct)
    return found


def _necessary(select: bound.BoundSelect, scan: bound.Scan) -> Iterator[bound.Expr]:
    """Yields the conditions without which no row of the scan takes part in an answer."""
    if bound.kept(select.from_, scan):
        yield from select.where
    relation = select.from_
    while isinstance(relation, bound.Join):
        in_left = scan in bound.scans(relation.left)
        side = relation.left if in_left else relation.right
        # What fails ON has no partner: where rows without one stay, it still takes part.
        dropping = ("inner", "right", "semi") if in_left else ("inner", "left", "semi", "anti")
        if relation.on is not None and relation.kind in dropping and bound.kept(side, scan):
            if isinstance(relation.on, bound.Junction) and relation.on.op == "AND":
                yield from relation.on.operands
            else:
                yield relation.on
        relation = side


def _stage(expr: bound.Expr, scan: bound.Scan) -> str | None:
    """Returns the stage after which a condition can be asked of the scan's rows alone, or None."""
    own = {scan.id}
    for node in bound.walk(expr):
        if isinstance(node, bound.BoundSelect):
            own |= {s.id for s in bound.scans(node.from_)}
        elif isinstance(node, bound.Derived):
            own.add(node.id)
            if node.cte is not None:
                return None
    stages = set()
    for node in bound.walk(expr):
        match node:
            case bound.Column():
                if node.scan.id not in own or (node.scan.table.tree and node.scan != scan):
                    return None
                if node.scan == scan:
                    stages.add(node.column.stage)
            case bound.DerivedColumn():
                if node.relation not in own:
                    return None
            case bound.Scan():
                if node.id not in own or node.table.tree:
                    return None
    if not stages <= set(catalog.STAGES):
        return None
    return max(stages, key=lambda s: catalog.STAGES.index(s or ""), default=None)


def _first_rows(query: bound.BoundQuery) -> tuple[bound.Scan, int] | None:
    """Returns the scan of which the first rows that pass its filters are all that is needed."""
    select = query.body
    if not isinstance(select, bound.BoundSelect) or query.limit is None or query.order_by:
        return None
    scan = select.from_
    if not isinstance(scan, bound.Scan) or not scan.table.tree:
        return None
    grouped = select.group_by or select.sets or select.having
    one_each = not grouped and not select.distinct and not any(map(_of_several_rows, select.exprs))
    if one_each and select.qualify is None and all(_stage(e, scan) for e in select.where):
        return scan, query.limit + query.offset
    return None


def _of_several_rows(expr: bound.Expr) -> bool:
    """Returns whether an item of SELECT is not one value for each row."""
    return any(
        isinstance(n, bound.Aggregate | bound.WindowCall)
        or (isinstance(n, bound.Apply) and n.sql == bound.UNNEST)
        for n in bound.walk(expr, into_queries=False)
    )


# Reading


class TreeReading:
    """Reads what one scan needs; `ask` returns which rows, by `row`, pass some conditions.

    `check` raises when time is up, `most` is how many bytes of text may be kept. `warnings` tells
    afterwards what could not be read.
    """

    def __init__(
        self,
        scan: TreeScan,
        trees: Trees,
        ask: Callable[[tuple[bound.Expr, ...], pa.Table], pa.ChunkedArray],
        check: Callable[[], None],
        most: int,
    ) -> None:
        self.scan = scan
        self.warnings: list[str] = []
        self._trees = trees
        self._ask = ask
        self._check = check
        self._most = most
        self._held = 0

    def relations(self) -> dict[str, pa.Table]:
        """Returns the rows that may be part of an answer, and the history of their trees.

        Raises SourceError `tree_unavailable`, QueryError `content_too_large`, and what is wrong
        with the revision.
        """
        pins = self.scan.repos
        names = [name for name in self._trees.repos() if pins is None or name in pins]
        repos = pa.table({"row": _numbers(len(names)), "repo": pa.array(names, pa.string())})
        wanted = self._narrowed(repos, "repo", None).column("repo").to_pylist()
        revision = self.scan.scan.revision
        assert revision is not None
        parts = [pa.schema(_COLUMNS[self.scan.stage]).empty_table()]
        histories = [pa.schema(_HISTORY).empty_table()]
        with ExitStack() as opened:
            trees, warnings = self._trees.open(revision, wanted, self._check)
            self.warnings += warnings
            for tree in trees:
                opened.callback(tree.close)
            left = self.scan.limit
            for tree in trees:
                parts.append(self._files(tree, left))
                if self.scan.history:
                    histories.append(tree.history())
                if left is not None and (left := left - parts[-1].num_rows) <= 0:
                    break
        name = self.scan.name
        found = {name: pa.concat_tables(parts)}
        return found | (
            {f"{name}_history": pa.concat_tables(histories)} if self.scan.history else {}
        )

    def _narrowed(self, rows: pa.Table, stage: str, limit: int | None) -> pa.Table:
        """Returns the rows that pass the conditions of a stage; of those that no later one leaves out only `limit`."""
        filters = dict(self.scan.filters)
        if rows.num_rows and stage in filters:
            passing = self._ask(filters[stage], rows)
            rows = rows.filter(pc.is_in(rows.column("row"), value_set=passing))
        later = catalog.STAGES[catalog.STAGES.index(stage) + 1 :]
        if limit is None or any(s in filters for s in later):
            return rows
        return rows.slice(0, limit)

    def _files(self, tree: Tree, limit: int | None) -> pa.Table:
        listed = tree.files()
        files = listed.append_column("row", _numbers(listed.num_rows))
        files = files.append_column("repo", pa.array([tree.repo] * files.num_rows, pa.string()))
        files = files.select([name for name, _ in _LISTED])
        if self.scan.stage != "tree" or limit is not None:
            files = self._narrowed(files, "tree", limit)
        if self.scan.stage == "tree":
            return files
        blobs = files.filter(pc.not_equal(files.column("mode"), _SUBMODULE)).column("blob")
        unique = blobs.unique().to_pylist()
        sizes = dict(zip(unique, tree.sizes(unique), strict=True)) if unique else {}
        missing = {blob for blob, size in sizes.items() if size is None}
        of_each = pa.array([sizes.get(b) for b in files.column("blob").to_pylist()], pa.int64())
        files = self._narrowed(files.append_column("size", of_each), "size", limit)
        if self.scan.stage == "content":
            files = self._contents(tree, files, missing, limit)
        if missing:
            self.warnings.append(
                f"{tree.repo}: {len(missing):,} blob{' is' if len(missing) == 1 else 's are'}"
                " missing or damaged, so sizes and contents of their files are NULL"
            )
        return files

    def _contents(
        self, tree: Tree, files: pa.Table, missing: set[str], limit: int | None
    ) -> pa.Table:
        """Returns the files that pass all conditions, with `content` and `is_binary`."""
        places: dict[str, list[int]] = {}
        sizes = files.column("size").to_pylist()
        blobs = files.column("blob").to_pylist()
        for i, (blob, size) in enumerate(zip(blobs, sizes, strict=True)):
            if size is not None:
                places.setdefault(blob, []).append(i)
        empty = pa.schema(_COLUMNS["content"]).empty_table()
        without = files.filter(pc.is_null(files.column("size")))
        kept = [
            empty,
            self._narrowed(_with(without, *(pa.nulls(without.num_rows),) * 2), "content", None),
        ]
        # Rows are in order, and so are the first places of the blobs.
        firsts = [found[0] for found in places.values()]
        done = 0
        for read in tree.contents(list(places), [sizes[i] for i in firsts], self._most):
            missing.update(
                read.filter(pc.is_null(read.column("is_binary"))).column("blob").to_pylist()
            )
            for part in self._read_of(files, places, read):
                kept.append(self._narrowed(part, "content", None))
                self._hold(kept[-1])
                self._check()
            done += read.num_rows
            if limit is not None and done < len(firsts):
                before = files.column("row")[firsts[done]]
                whole = (pc.sum(pc.less(k.column("row"), before)).as_py() or 0 for k in kept)
                if sum(whole) >= limit:
                    break
        return pa.concat_tables(kept).sort_by("row")

    def _read_of(
        self, files: pa.Table, places: dict[str, list[int]], read: pa.Table
    ) -> Iterator[pa.Table]:
        """Yields the files that have these contents, some at a time where many have the same."""
        sizes = pc.coalesce(pc.binary_length(read.column("content")), 0).to_pylist()
        at: list[tuple[int, int]] = []
        held = 0
        for n, blob in enumerate(read.column("blob").to_pylist()):
            for i in places[blob]:
                if at and held + sizes[n] > _PART_BYTES:
                    yield self._part(files, read, at)
                    at, held = [], 0
                at.append((i, n))
                held += sizes[n]
        if at:
            yield self._part(files, read, at)

    def _part(self, files: pa.Table, read: pa.Table, at: list[tuple[int, int]]) -> pa.Table:
        numbers = pa.array([n for _, n in at], pa.int64())
        part = _with(
            files.take(pa.array([i for i, _ in at], pa.int64())),
            read.column("content").take(numbers),
            read.column("is_binary").take(numbers),
        )
        large = part.filter(
            pc.and_(pc.equal(part.column("is_binary"), False), pc.is_null(part.column("content")))
        )
        if large.num_rows:
            path, size = large.column("path")[0].as_py(), large.column("size")[0].as_py()
            raise self._too_large(f"{path} alone has {size:,} bytes")
        return part

    def _hold(self, part: pa.Table) -> None:
        texts = part.filter(pc.is_valid(part.column("content")))
        self._held += pc.sum(texts.column("size")).as_py() or 0
        if self._held > self._most:
            raise self._too_large(f"what is asked for has more than {self._most:,} bytes")

    def _too_large(self, why: str) -> QueryError:
        return QueryError(
            "content_too_large",
            f"too much text to hold: {why}",
            hint="narrow it in WHERE, by path, extension, language, size or what the content has,"
            " or raise the setting content_bytes",
        )


def _numbers(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int64))


def _with(files: pa.Table, content: pa.Array, is_binary: pa.Array) -> pa.Table:
    columns = (("content", pa.string(), content), ("is_binary", pa.bool_(), is_binary))
    for name, kind, values in columns:
        files = files.append_column(name, values.cast(kind))
    return files
