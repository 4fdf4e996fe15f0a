"""Binding of what asks the commit graph: which rows or hashes, of which repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["FUNCTIONS", "RevisionBinder"]

# What each function gives.
FUNCTIONS: Final = {
    "is_ancestor": "BOOLEAN", "merge_base": "TEXT", "resolve": "TEXT", "first_tag": "TEXT",
}  # fmt: skip
_KINDS: Final = {
    "in_range": "range", "reachable_from": "reachable", "ancestor_of": "ancestors",
    "descendant_of": "descendants", "history_of": "history",
}  # fmt: skip
# From the finest to the coarsest: the first kind in FROM is what a predicate speaks of.
_FINEST: Final = ("lines", "hunks", "changes", "commits")


class RevisionBinder:
    """Binds the predicates and functions of the commit graph for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder, ambiguous: Callable[..., QueryError]) -> None:
        self.x = expressions
        self.error = expressions.error
        self._ambiguous = ambiguous

    def predicate(
        self,
        name: str,
        alias: bound.Scan | None,
        arg: ast.Expr,
        scope: Scope,
        span: Span,
        text: str,
    ) -> bound.RevisionMatch:
        """Returns a predicate on the row's commit, or for a path's history on its change."""
        of_path = name == "history_of"
        scan = alias or self._subject(name, scope, span, changes=of_path)
        if scan.table.position is None or (of_path and scan.table.name not in _FINEST):
            what = ", ".join(reversed(_FINEST)) if of_path else "commits"
            raise self.error(
                "no_subject", f"{name} speaks of {what}, not of {scan.table.name}", span
            )
        revision = self.x.text_constant(arg, scope, name)
        if of_path and not revision.strip("/"):
            raise self.error("empty_pattern", f"{name} needs a path", arg.span, "as 'src/main.c'")
        if of_path:
            revision = revision.removeprefix("/")
        return bound.RevisionMatch(scan, _KINDS[name], revision, text, span=arg.span)

    def function(self, name: str, call: ast.Call, scope: Scope, text: str) -> bound.GraphCall:
        """Returns a function of hashes or revisions."""
        pattern = ""
        args = list(call.args)
        if name == "first_tag" and len(args) == 2:
            glob = args.pop()
            pattern = self.x.glob(self.x.text_constant(glob, scope, name), glob.span)
        values = []
        for arg in args:
            value = self.x.bind(arg, scope)
            self.x.want(value, "TEXT", name, arg.span)
            self.x.check_pattern(value, arg.span)
            values.append(value)
        return bound.GraphCall(
            name,
            tuple(values),
            self._repo(name, call, values, scope),
            pattern,
            text,
            FUNCTIONS[name],
            (*(a.span for a in args), *(n.value.span for n in call.named)),
        )

    def _subject(self, name: str, scope: Scope, span: Span, *, changes: bool) -> bound.Scan:
        found = [
            r
            for r in scope.relations
            if isinstance(r, bound.Scan)
            and r.table.position
            and (r.table.name in _FINEST or not changes)
        ]
        if not found:
            raise self.error("no_subject", f"{name} speaks of commits, and FROM has none", span)
        return self._finest(name, found, span)

    def _finest(self, name: str, found: list[bound.Scan], span: Span) -> bound.Scan:
        def coarseness(scan: bound.Scan) -> int:
            kind = scan.table.name
            return _FINEST.index(kind) if kind in _FINEST else len(_FINEST)

        found.sort(key=coarseness)
        same = [r for r in found if r.table.name == found[0].table.name]
        if len(same) > 1:
            raise self._ambiguous(name, same, span)
        return found[0]

    # Repositories

    def _repo(
        self, name: str, call: ast.Call, values: list[bound.Expr], scope: Scope
    ) -> bound.Expr | None:
        """Returns the repository to ask: the one named, or that of the row a hash is from."""
        for named in call.named:
            if named.name != "repo" or len(call.named) > 1:
                raise self.error(
                    "unknown_argument",
                    f'{name} has no argument called "{named.name}"'
                    if named.name != "repo"
                    else f"{name} takes one repo",
                    named.span,
                    "repo => 'name' says which repository to ask",
                )
            value = self.x.bind(named.value, scope)
            self.x.want(value, "TEXT", "repo", named.value.span)
            return value
        owners = (
            _owner(node, scope)
            for value in values
            for node in bound.walk(value, into_queries=False)
        )
        repos = [r for owner in dict.fromkeys(owners) if owner and (r := _repo_of(owner))]
        if len(repos) > 1:
            # An outer join may have left one of them without a row.
            holes = ", ".join(f"{{{i}}}" for i in range(len(repos)))
            return bound.Apply(f"coalesce({holes})", tuple(repos), "TEXT")
        if repos:
            return repos[0]
        if not all(map(bound.is_constant, values)):
            return None
        having = [r for r in scope.relations if _repo_of(r) is not None]
        scans = [r for r in having if isinstance(r, bound.Scan)]
        if len(scans) > 1 and len(scans) == len(having):
            kinds = {s.table.name for s in scans}
            if len(kinds) < len(scans):
                hint = f"{name.upper()}(..., repo => {scans[0].alias}.repo)"
                raise self.error(
                    "ambiguous_predicate",
                    f"{name} may ask the repository of {' or '.join(s.alias for s in scans)}",
                    call.span,
                    f"write {hint}",
                )
        return _repo_of(having[0]) if having else None


def _owner(node: object, scope: Scope) -> bound.Scan | bound.Derived | None:
    """Returns the relation that a column is of, if it has a repository too."""
    for relation in _relations(scope):
        same = (isinstance(node, bound.Column) and node.scan == relation) or (
            isinstance(node, bound.DerivedColumn) and node.relation == relation.id
        )
        if same and _repo_of(relation) is not None:
            return relation
    return None


def _relations(scope: Scope | None) -> Iterator[bound.Scan | bound.Derived]:
    while scope is not None:
        yield from scope.relations
        scope = scope.parent


def _repo_of(relation: bound.Scan | bound.Derived) -> bound.Expr | None:
    if isinstance(relation, bound.Scan):
        column = relation.table.column("repo")
        return bound.Column(relation, column) if column is not None else None
    if "repo" in relation.names:
        index = relation.names.index("repo")
        return bound.DerivedColumn(relation.id, index, relation.types[index])
    return None
