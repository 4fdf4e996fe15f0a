"""What FROM holds: its relations, and those that may have no row."""

from __future__ import annotations

from collections.abc import Iterator

from govc_search.ql import bound

__all__ = ["nullable", "relations", "scans"]


def relations(relation: bound.Relation | None) -> Iterator[bound.Scan | bound.Derived]:
    """Yields the relations of FROM whose columns can be named, from left to right."""
    match relation:
        case bound.Scan() | bound.Derived():
            yield relation
        case bound.Join():
            yield from relations(relation.left)
            if relation.kind not in ("semi", "anti"):
                yield from relations(relation.right)


def scans(relation: bound.Relation | None) -> Iterator[bound.Scan]:
    """Yields those of them that are tables of the catalog."""
    return (r for r in relations(relation) if isinstance(r, bound.Scan))


def nullable(query: bound.BoundQuery) -> set[int]:
    """Returns the scans that an outer join may leave without a row."""
    found: set[int] = set()
    for node in bound.walk(query):
        if isinstance(node, bound.Join):
            if node.kind in ("left", "full"):
                found |= {s.id for s in scans(node.right)}
            if node.kind in ("right", "full"):
                found |= {s.id for s in scans(node.left)}
    return found
