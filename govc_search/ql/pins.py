"""Which repositories a WHERE clause leaves, where it says so by name."""

from __future__ import annotations

from collections.abc import Iterator

from govc_search.ql import bound

__all__ = ["pinned"]

_SAME = "({0} = {1})"


def pinned(select: bound.BoundSelect) -> dict[bound.Scan, frozenset[str]]:
    """Returns the only repositories that each table can show rows of, for those that are pinned.

    What a conjunct says of one table (`repo = 'x'`, `repo IN (...)`) holds for those joined to it
    by commit or repository too: their rows are of the same repository, or are not there.
    """
    found: dict[bound.Scan, frozenset[str]] = {}
    for conjunct in select.where:
        pin = _pin(conjunct)
        if pin is not None:
            scan, names = pin
            found[scan] = found.get(scan, names) & names
    pairs = list(_joined(select.from_))
    for _ in pairs:
        for a, b in (*pairs, *((b, a) for a, b in pairs)):
            if a in found:
                found[b] = found.get(b, found[a]) & found[a]
    return found


def _pin(expr: bound.Expr) -> tuple[bound.Scan, frozenset[str]] | None:
    match expr:
        case bound.Junction("OR", operands):
            pins = [_pin(o) for o in operands]
            scans = {p[0] for p in pins if p is not None}
            if None in pins or len(scans) != 1:
                return None
            return scans.pop(), frozenset().union(*(p[1] for p in pins if p is not None))
        case bound.Apply(sql, (bound.Column(scan, column), *names)) if column.name == "repo" and (
            sql == _SAME or sql.startswith("({0} IN (")
        ):
            texts = [n.value for n in names if isinstance(n, bound.Constant)]
            if len(texts) == len(names):
                return scan, frozenset(t for t in texts if isinstance(t, str))
        case bound.Apply(sql, (bound.Constant() as name, bound.Column() as column)) if sql == _SAME:
            return _pin(bound.Apply(_SAME, (column, name), "BOOLEAN"))
    return None


def _joined(relation: bound.Relation | None) -> Iterator[tuple[bound.Scan, bound.Scan]]:
    """Yields the pairs of tables whose rows in one result row are of one repository."""
    if not isinstance(relation, bound.Join):
        return
    yield from _joined(relation.left)
    yield from _joined(relation.right)
    on = relation.on
    for expr in on.operands if isinstance(on, bound.Junction) and on.op == "AND" else (on,):
        match expr:
            case bound.Apply(sql, (bound.Column(a, left), bound.Column(b, right))) if (
                sql == _SAME and left.name == right.name and left.name in ("position", "repo")
            ):
                yield a, b
