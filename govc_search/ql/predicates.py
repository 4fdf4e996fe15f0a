"""Binding of text and graph predicates, SCORE, HIGHLIGHT and SNIPPET: what each speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from govc_search import catalog, textquery
from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound, match, parser, patterns
from govc_search.ql.revisions import FUNCTIONS, RevisionBinder

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["PredicateBinder"]

_SIDES = {
    "added": ("added",),
    "removed": ("removed",),
    "changed": ("added", "removed"),
    "pickaxe": ("added", "removed"),
}
# From the finest to the coarsest: the first kind in FROM is what a predicate speaks of.
_LINE_SUBJECTS = ("hunks", "changes", "commits")
_TOUCH_SUBJECTS = ("changes", "commits")
_SEARCH_FIELDS = {
    "commits": ("subject", "body", "author", "committer", "path"),
    "changes": ("path", "heading", "added", "removed"),
}
_OPEN, _CLOSE = "[", "]"


class PredicateBinder:
    """Binds the functions of kinds text and graph for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error
        self.revisions = RevisionBinder(expressions, self.ambiguous)

    def call(
        self, function: catalog.Function, call: ast.Call, scope: Scope, *, top: bool
    ) -> bound.Expr:
        """Returns the bound form of a call of one of these functions."""
        name = function.name
        if call.named and name not in FUNCTIONS:
            raise self.error(
                "unknown_argument",
                f'{name} has no argument called "{call.named[0].name}"',
                call.named[0].span,
                f"write repo = ... AND {name.upper()}(...)"
                if function.kind == "graph" and call.named[0].name == "repo"
                else function.signature,
            )
        alias, args = self._alias(function, call, scope)
        low = sum(1 for a in function.args if a != "ALIAS") - sum(
            1 for a in function.args[len(function.args) - function.optional :] if a != "ALIAS"
        )
        if function.args[:1] == ("ALIAS",):
            low = len(function.args) - 1
        high = len(function.args) - (function.args[:1] == ("ALIAS",))
        if call.star or not low <= len(args) <= high:
            raise self.error(
                "argument_count",
                f"{name} does not take {len(call.args)} arguments",
                call.span,
                function.signature,
            )
        text = self._source(call.span)
        if call.args and call.span.start == call.args[0].span.start:
            # Written between its operands, where a NOT would be part of the text.
            text = f" {call.name} ".join(self._source(a.span) for a in call.args)
        if name in ("match", "phrase", "fuzzy"):
            return self._words(name, args, scope, text)
        if name == "search":
            return self._search(alias, args[0], scope, call.span, text)
        if name == "contains":
            return self._contains(args, scope)
        if name.removesuffix("_re") in _SIDES:
            return self._lines(name, alias, args[0], scope, call.span, text)
        if name == "touches":
            scan = alias or self._subject(_TOUCH_SUBJECTS, scope, call.span, name)
            self._allowed(scan, _TOUCH_SUBJECTS, call.span, name)
            glob = self.x.text_constant(args[0], scope, name)
            if not glob.strip("/"):
                raise self.error(
                    "empty_pattern",
                    "touches needs a path or glob",
                    args[0].span,
                    "such as 'src/**'",
                )
            return bound.TouchMatch(
                scan, self.x.glob(glob, args[0].span), patterns.glob_prefix(glob), text
            )
        if function.kind == "graph":
            if name in FUNCTIONS:
                return self.revisions.function(name, call, scope, text)
            return self.revisions.predicate(name, alias, args[0], scope, call.span, text)
        if name == "score":
            return self._score(alias, scope, call.span)
        return self._highlight(name, args, scope, call.span, top=top)

    def _source(self, span: Span) -> str:
        return parser.on_one_line(self.x.binder.source, span)

    # Subjects

    def _alias(
        self, function: catalog.Function, call: ast.Call, scope: Scope
    ) -> tuple[bound.Scan | None, tuple[ast.Expr, ...]]:
        """Splits an optional table alias off the arguments."""
        args = call.args
        if function.args[:1] != ("ALIAS",) or not args:
            return None, args
        first = args[0]
        if not isinstance(first, ast.Name) or len(first.parts) != 1:
            return None, args
        inner: Scope | None = scope
        while inner is not None:
            for r in inner.relations:
                if r.alias.lower() == first.parts[0].lower():
                    if isinstance(r, bound.Scan):
                        return r, args[1:]
                    raise self.error(
                        "no_subject",
                        f'{function.name} speaks of tables, and "{r.alias}" is a sub-query',
                        first.span,
                    )
            inner = inner.parent
        raise self.error(
            "unknown_table", f'no table "{first.parts[0]}" in FROM', first.span, function.signature
        )

    def _subject(self, kinds: tuple[str, ...], scope: Scope, span: Span, name: str) -> bound.Scan:
        for kind in kinds:
            found = [
                r for r in scope.relations if isinstance(r, bound.Scan) and r.table.name == kind
            ]
            if len(found) > 1:
                raise self.ambiguous(name, found, span)
            if found:
                return found[0]
        raise self.error(
            "no_subject", f"{name} speaks of {', '.join(kinds)}, and FROM has none of them", span
        )

    def ambiguous(self, name: str, found: list[bound.Scan], span: Span) -> QueryError:
        """Returns the error for a predicate that may speak of several tables."""
        return self.error(
            "ambiguous_predicate", f"{name} may speak of {' or '.join(f.alias for f in found)}", span,
            f"write {name.upper()}({found[0].alias}{'' if name == 'score' else ', ...'})",
        )  # fmt: skip

    def _allowed(self, scan: bound.Scan, kinds: tuple[str, ...], span: Span, name: str) -> None:
        if scan.table.name not in kinds:
            raise self.error(
                "no_subject", f"{name} speaks of {', '.join(kinds)}, not of {scan.table.name}", span
            )

    # Words

    def _words(
        self, name: str, args: tuple[ast.Expr, ...], scope: Scope, text: str
    ) -> bound.TextMatch:
        subject = self.x.bind(args[0], scope)
        self.x.want(subject, "TEXT", name, args[0].span)
        query = self.x.text_constant(args[1], scope, name)
        number = None
        if len(args) > 2:
            value = self.x.bind(args[2], scope)
            if (
                not isinstance(value, bound.Constant)
                or not isinstance(value.value, int)
                or not 0 <= value.value <= 100
            ):
                raise self.error(
                    "invalid_argument", f"{name} takes a whole number from 0 here", args[2].span
                )
            number = value.value
        scan, subjects = self._subjects(subject)
        fields = tuple(f for f, _ in subjects)
        columns = scan.table.columns if scan else ()
        qualified = {c.name: c.words for c in columns if c.words}
        try:
            if name == "match":
                node = match.parse(query, fields, qualified if scan else {})
            elif name == "phrase":
                node = match.phrase(query, fields, number or 0)
            else:
                node = match.fuzzy(query, fields, number)
        except QueryError as e:
            raise self._inside(e, args[1], query) from None
        if name == "match" and scan is not None:
            subjects = self._more_subjects(scan, node, subjects)
        self._check_fuzzy(node, args[1].span)
        found = bound.TextMatch(scan, node, subjects, text, span=args[1].span)
        return self._met(found, scope)

    def _inside(self, e: QueryError, arg: ast.Expr, query: str) -> QueryError:
        """Moves the place of an error inside a pattern to where the pattern stands in the query."""
        raw = self.x.binder.source[arg.span.start + 1 : arg.span.end - 1]
        if e.span is None or raw != query:
            return self.error(e.code, e.message, arg.span, e.hint)
        start = arg.span.start + 1
        return self.error(e.code, e.message, Span(start + e.span.start, start + e.span.end), e.hint)

    def _subjects(
        self, subject: bound.Expr
    ) -> tuple[bound.Scan | None, tuple[tuple[str, bound.Expr], ...]]:
        """Returns the scan whose text index holds the subject, and its fields with their texts."""
        if isinstance(subject, bound.Column) and subject.column.words:
            scan, words = subject.scan, subject.column.words
            if len(words) == 1:
                return scan, ((words[0], subject),)
            columns = [(w, scan.table.column(w)) for w in words]
            return scan, tuple((w, bound.Column(scan, c)) for w, c in columns if c)
        if isinstance(subject, bound.Column) and subject.column.lines:
            return subject.scan, (("text", subject),)
        return None, (("text", subject),)

    def _more_subjects(
        self, scan: bound.Scan, node: textquery.Node, subjects: tuple[tuple[str, bound.Expr], ...]
    ) -> tuple[tuple[str, bound.Expr], ...]:
        """Adds the columns that `column:word` names inside the pattern."""
        have = {f for f, _ in subjects}
        more = []
        for f in sorted(textquery.fields_of(node) - have):
            column = scan.table.column(f)
            if column is not None:
                more.append((f, bound.Column(scan, column)))
        return subjects + tuple(more)

    def _check_fuzzy(self, node: textquery.Node, span: Span) -> None:
        limit = self.x.binder.settings.size("fuzzy_words")
        if textquery.fuzzy_count(node) > limit:
            raise self.error(
                "too_many_fuzzy_words",
                f"more than {limit} fuzzy words",
                span,
                "the setting fuzzy_words is the limit",
            )

    def _search(
        self, alias: bound.Scan | None, arg: ast.Expr, scope: Scope, span: Span, text: str
    ) -> bound.TextMatch:
        scan = alias or self._subject(("changes", "commits"), scope, span, "search")
        self._allowed(scan, ("changes", "commits"), span, "search")
        query = self.x.text_constant(arg, scope, "search")
        fields = _SEARCH_FIELDS[scan.table.name]
        try:
            node = match.search(query, fields)
        except QueryError as e:
            raise self._inside(e, arg, query) from None
        self._check_fuzzy(node, arg.span)
        subjects = tuple((f, bound.Column(scan, scan.table.texts[f])) for f in fields)
        return self._met(bound.TextMatch(scan, node, subjects, text, span=arg.span), scope)

    def _met(self, predicate: bound.TextMatch, scope: Scope) -> bound.TextMatch:
        if predicate not in scope.matches:
            scope.matches.append(predicate)
        return predicate

    def _contains(self, args: tuple[ast.Expr, ...], scope: Scope) -> bound.Expr:
        subject = self.x.bind(args[0], scope)
        if subject.type.endswith("[]"):
            kind = bound.DerivedColumn(0, 0, subject.type.removesuffix("[]"))
            item = self.x.same([self.x.bind(args[1], scope), kind], args[1].span)[0]
            return bound.Apply("list_contains({0}, {1})", (subject, item), "BOOLEAN")
        self.x.want(subject, "TEXT", "contains", args[0].span)
        value = self.x.bind(args[1], scope)
        self.x.want(value, "TEXT", "contains", args[1].span)
        self.x.check_pattern(value, args[1].span)
        return bound.Apply(bound.CONTAINS, (subject, value), "BOOLEAN")

    # Lines

    def _lines(
        self,
        name: str,
        alias: bound.Scan | None,
        arg: ast.Expr,
        scope: Scope,
        span: Span,
        text: str,
    ) -> bound.LineMatch:
        scan = alias or self._subject(_LINE_SUBJECTS, scope, span, name)
        self._allowed(scan, _LINE_SUBJECTS, span, name)
        pattern = self.x.text_constant(arg, scope, name)
        mode = "contains"
        if name.endswith("_re"):
            mode, pattern = "regex", self.x.regex(pattern, arg.span, by_line=True)
        elif name == "pickaxe":
            mode = "pickaxe"
            if scan.table.name == "hunks":
                raise self.error(
                    "no_subject",
                    "pickaxe counts within a file: it speaks of changes or commits",
                    span,
                )
        if not pattern:
            raise self.error("empty_pattern", f"{name} needs some text to look for", arg.span)
        if mode != "regex" and "\n" in pattern:
            raise self.error(
                "pattern_spans_lines", f"{name} looks within one line, and the text holds a line end", arg.span,
                "look for the most telling line of it",
            )  # fmt: skip
        return bound.LineMatch(scan, _SIDES[name.removesuffix("_re")], mode, pattern, text)

    # Scores and marks

    def _score(self, alias: bound.Scan | None, scope: Scope, span: Span) -> bound.Expr:
        scans = list(dict.fromkeys(m.scan for m in scope.matches if m.scan is not None))
        if alias is not None:
            return bound.Score(alias) if alias in scans else bound.Constant(None, "DOUBLE")
        if not scans:
            return bound.Constant(None, "DOUBLE")
        if len(scans) > 1:
            raise self.ambiguous("score", scans, span)
        return bound.Score(scans[0])

    def _highlight(
        self, name: str, args: tuple[ast.Expr, ...], scope: Scope, span: Span, *, top: bool
    ) -> bound.Highlight:
        if not top:
            raise self.error(
                "highlight_place", f"{name} can only be an item of SELECT itself", span
            )
        column = self.x.bind(args[0], scope)
        if not isinstance(column, bound.Column) or column.type != "TEXT":
            raise self.error(
                "type_mismatch", f"{name} takes a text column of a table", args[0].span
            )
        if name.startswith("snippet"):
            length = 160
            if len(args) > 1:
                value = self.x.bind(args[1], scope)
                if (
                    not isinstance(value, bound.Constant)
                    or not isinstance(value.value, int)
                    or not 10 <= value.value <= 10_000
                ):
                    raise self.error(
                        "invalid_argument", f"{name} takes a length from 10 to 10000", args[1].span
                    )
                length = value.value
            kind = "INTEGER[]" if name == "snippet_offsets" else "TEXT"
            return bound.Highlight(column, _OPEN, _CLOSE, length, kind, span=span)
        if name == "match_offsets":
            return bound.Highlight(column, "", "", None, "INTEGER[][]", span=span)
        marks = [self.x.text_constant(a, scope, name) for a in args[1:]]
        if len(marks) == 1:
            raise self.error("argument_count", "highlight takes both marks or none", span)
        open_, close = marks or (_OPEN, _CLOSE)
        return bound.Highlight(column, open_, close, None, span=span)
