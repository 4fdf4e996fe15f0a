"""Binding of USING: which columns are compared, and what their names mean afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from govc_search import catalog
from govc_search.errors import Span
from govc_search.ql import ast, bound, names

if TYPE_CHECKING:
    from govc_search.ql.binder import Binder, Scope

__all__ = ["read", "using"]

Relations = Sequence[bound.Scan | bound.Derived]

_COMMITS = catalog.table("commits")
assert _COMMITS is not None
_HASH = _COMMITS.column("hash")
assert _HASH is not None
_HASHES: Final = frozenset({_HASH.name, *_HASH.aliases})


def using(
    binder: Binder, item: ast.Join, scope: Scope, lefts: Relations, rights: Relations
) -> bound.Expr:
    """Returns the condition of a join with USING, and merges its columns in `scope`.

    `hash` brings `repo` along where both sides have it, and both are one position where both have
    that. A merged name means the side that always has a row; in a full join, where neither has,
    whichever is there.
    """
    conditions: list[bound.Expr] = []
    for name in (n.lower() for n in item.using):
        left, right = (_column(binder, name, side, scope, item.span) for side in (lefts, rights))
        if left is None or right is None:
            # Says which side has no such column.
            side = lefts if left is None else rights
            names.column(ast.Name((name,), span=item.span), _probe(scope, side), binder.error)
        assert left is not None
        assert right is not None
        pairs = {name: (left, right)}
        if name in _HASHES:
            pairs |= _same_repository(binder, left, right, lefts, rights, scope, item)
        conditions.append(_equal(binder, pairs, item.span))
        for merged, (a, b) in pairs.items():
            _merge(scope, merged, item.kind, (a, b), (lefts, rights))
    return conditions[0] if len(conditions) == 1 else bound.Junction("AND", tuple(conditions))


def _probe(scope: Scope, side: Relations) -> Scope:
    ids = {r.id for r in side}
    known = {n: e for n, e in scope.coalesced.items() if read(e) <= ids}
    return type(scope)(None, list(side), scope.merged, coalesced=known)


def _column(
    binder: Binder, name: str, side: Relations, scope: Scope, span: Span
) -> bound.Expr | None:
    return names.find(ast.Name((name,), span=span), _probe(scope, side), binder.error)


def read(expr: bound.Expr) -> set[int]:
    """Returns the ids of the relations whose columns an expression reads."""
    return {
        n.scan.id if isinstance(n, bound.Column) else n.relation
        for n in bound.walk(expr)
        if isinstance(n, bound.Column | bound.DerivedColumn)
    }


def _same_repository(
    binder: Binder,
    left: bound.Expr,
    right: bound.Expr,
    lefts: Relations,
    rights: Relations,
    scope: Scope,
    item: ast.Join,
) -> dict[str, tuple[bound.Expr, bound.Expr]]:
    """Returns what else is equal where two commits are: the pairs of columns by name."""
    pairs: dict[str, tuple[bound.Expr, bound.Expr]] = {}
    for name in ("repo", "position", *_HASHES):
        found = []
        for known, side in ((left, lefts), (right, rights)):
            # The repository of a hash is that of the relation that has the hash.
            ids = read(known)
            same = [r for r in side if r.id in ids]
            found.append(_column(binder, name, same, scope, item.span))
        if found[0] is not None and found[1] is not None:
            if name == "position" and not all(map(_is_position, found)):
                continue
            pairs[name] = (found[0], found[1])
    if "repo" not in pairs:
        binder.repository_warnings.append(
            "USING (hash) compares hashes alone where one side has no repo:"
            " commits that several repositories share meet each other"
        )
    return pairs


def _is_position(expr: bound.Expr | None) -> bool:
    """Returns whether an expression is the position of the commit that a row speaks of."""
    return isinstance(expr, bound.Column) and expr.scan.table.position is not None


def _equal(
    binder: Binder, pairs: dict[str, tuple[bound.Expr, bound.Expr]], span: Span
) -> bound.Expr:
    """Returns the shortest condition that says that all pairs are equal."""
    if "position" in pairs:
        chosen = [pairs["position"]]
    else:
        chosen = [p for n, p in pairs.items() if n == "repo"]
        chosen += [p for n, p in pairs.items() if n != "repo"][:1]
    conditions = tuple(
        bound.Apply("({0} = {1})", tuple(binder.expressions.same(list(p), span)), "BOOLEAN")
        for p in chosen
    )
    return conditions[0] if len(conditions) == 1 else bound.Junction("AND", conditions)


def _merge(
    scope: Scope,
    name: str,
    kind: str,
    pair: tuple[bound.Expr, bound.Expr],
    sides: tuple[Relations, Relations],
) -> None:
    hidden = sides[0] if kind == "right" else sides[1]
    scope.merged.setdefault(name, set()).update(r.id for r in hidden)
    kept = pair[1] if kind == "right" else pair[0]
    if kind == "full":
        joint = bound.joint_type(e.type for e in pair)
        kept = bound.Apply("coalesce({0}, {1})", pair, joint)
    if isinstance(kept, bound.Apply):
        scope.coalesced[name] = kept
    else:
        scope.coalesced.pop(name, None)
