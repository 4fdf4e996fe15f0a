"""Which repositories, commits and refs a query leaves, where it says so by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from govc_search.ql import bound

__all__ = ["alike", "of_refs", "pinned"]

_SAME = "({0} = {1})"
# Conditions on their first operand that are not true of NULL.
_STRICT = re.compile(
    r"\(\{0\} (=|IN|LIKE|ILIKE) |regexp_matches\(|starts_with\(|contains\(|suffix\("
)


def pinned(select: bound.BoundSelect, column: str = "repo") -> dict[bound.Scan, frozenset[str]]:
    """Returns the only repositories that each table can show rows of, for those that are pinned.

    What a conjunct says of one table (`repo = 'x'`, `repo IN (...)`) holds for those joined to it
    by commit or repository too: their rows are of the same repository, or are not there. With
    `column` hash these are commits.
    """
    found: dict[bound.Scan, frozenset[str]] = {}
    for conjunct in select.where:
        pin = _pin(conjunct, column)
        if pin is not None:
            scan, names = pin
            found[scan] = found.get(scan, names) & names
    conjuncts = (*select.where, *_joining(select.from_))
    pairs = list(_joined(conjuncts, ("position", column)))
    for _ in pairs:
        for a, b in (*pairs, *((b, a) for a, b in pairs)):
            if a in found:
                found[b] = found.get(b, found[a]) & found[a]
    return found


def alike(select: bound.BoundSelect) -> list[tuple[bound.Scan, bound.Scan]]:
    """Returns the pairs of tables, either way, whose rows in a result row are of one commit."""
    conjuncts = (*select.where, *_joining(select.from_))
    pairs = list(_joined(conjuncts, ("position",)))
    return [*pairs, *((b, a) for a, b in pairs)]


def of_refs(
    select: bound.BoundSelect, scan: bound.Scan, to: bound.Scan
) -> tuple[tuple[bound.Expr, ...], bool]:
    """Returns the conditions on refs that rows of `scan` must meet, and whether any names refs.

    They are those of WHERE and ON that read nothing else of the query, asked of the table `to`.
    """
    found: list[bound.Expr] = []
    names = False
    for expr in (*select.where, *_on(select.from_, scan)):
        moved = _moved(expr, scan, to)
        if moved is not None and any(isinstance(n, bound.Column) for n in bound.walk(moved)):
            found.append(moved)
            names = names or any(
                isinstance(n, bound.Column) and n.column.name != "repo" for n in bound.walk(moved)
            )
    return tuple(found), names


def _on(relation: bound.Relation | None, scan: bound.Scan) -> Iterator[bound.Expr]:
    """Yields the conjuncts of join conditions without which a row of `scan` joins nothing."""
    if not isinstance(relation, bound.Join):
        return
    yield from _on(relation.left, scan)
    yield from _on(relation.right, scan)
    sides = {"left": (relation.right,), "anti": (relation.right,), "right": (relation.left,)}
    if (
        scan in sides.get(relation.kind, (relation.left, relation.right))
        and relation.kind != "full"
    ):
        yield from _conjuncts(relation.on)


def _conjuncts(on: bound.Expr | None) -> Iterator[bound.Expr]:
    if isinstance(on, bound.Junction) and on.op == "AND":
        yield from on.operands
    elif on is not None:
        yield on


# Of refs, what the columns of ref_commits are called.
_REFS = {"repo": "repo", "ref": "full_name", "name": "name"}


def _moved(expr: bound.Expr, scan: bound.Scan, to: bound.Scan) -> bound.Expr | None:
    """Returns a condition with the columns of one table replaced, None if it reads any other.

    It is one that no NULL meets: of a row that an outer join made up it says nothing.
    """
    match expr:
        case bound.Junction(op, operands):
            moved = [_moved(o, scan, to) for o in operands]
            known = tuple(m for m in moved if m is not None)
            return bound.Junction(op, known) if len(known) == len(moved) else None
        case bound.Apply(sql, (bound.Column(of, column), *others)) if (
            of == scan and column.name in _REFS and _STRICT.match(sql)
        ):
            if all(isinstance(o, bound.Constant) for o in others):
                moved_column = to.table.column(_REFS[column.name])
                assert moved_column is not None
                return bound.Apply(sql, (bound.Column(to, moved_column), *others), expr.type)
        case bound.Apply(sql, (bound.Constant() as value, bound.Column() as column)) if (
            sql == _SAME
        ):
            return _moved(bound.Apply(_SAME, (column, value), "BOOLEAN"), scan, to)
    return None


def _pin(expr: bound.Expr, name: str = "repo") -> tuple[bound.Scan, frozenset[str]] | None:
    match expr:
        case bound.Junction("OR", operands):
            pins = [_pin(o, name) for o in operands]
            scans = {p[0] for p in pins if p is not None}
            if None in pins or len(scans) != 1:
                return None
            return scans.pop(), frozenset().union(*(p[1] for p in pins if p is not None))
        case bound.Apply(sql, (bound.Column(scan, column), *names)) if column.name == name and (
            sql == _SAME or sql.startswith("({0} IN (")
        ):
            texts = [n.value for n in names if isinstance(n, bound.Constant)]
            if names and len(texts) == len(names):
                return scan, frozenset(t for t in texts if isinstance(t, str))
        case bound.Apply(sql, (bound.Constant() as value, bound.Column() as column)) if (
            sql == _SAME
        ):
            return _pin(bound.Apply(_SAME, (column, value), "BOOLEAN"), name)
    return None


def _joined(
    conjuncts: Iterable[bound.Expr], by: tuple[str, ...]
) -> Iterator[tuple[bound.Scan, bound.Scan]]:
    """Yields the pairs of tables whose rows in one result row are alike in one of these columns."""
    for expr in conjuncts:
        match expr:
            case bound.Apply(sql, (bound.Column(a, left), bound.Column(b, right))) if (
                sql == _SAME and left.name == right.name and left.name in by
            ):
                yield a, b


def _joining(relation: bound.Relation | None) -> Iterator[bound.Expr]:
    """Yields the conjuncts of all join conditions."""
    if isinstance(relation, bound.Join):
        yield from _joining(relation.left)
        yield from _joining(relation.right)
        yield from _conjuncts(relation.on)
