"""The plan as text: the same for the same query and data, run after run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from govc_search import catalog, textquery
from govc_search.facts import Fact, OneOf
from govc_search.ql import bound
from govc_search.ql.hunk_texts import MOST_BYTES
from govc_search.ql.plan import (
    Exactness,
    GraphFunction,
    Members,
    Plan,
    RowSet,
    TextScan,
    TreeScan,
)  # fmt: skip

__all__ = ["explain"]

_READ = {"repo": "repositories", "tree": "files", "size": "sizes", "content": "contents"}


def explain(
    plan: Plan, rows: Mapping[str, int] | None = None, times: Mapping[str, float] | None = None
) -> str:
    """Returns the plan, a line for each thing that is done, with row counts and times if known."""
    out: list[str] = []
    query = plan.query
    depth = 0

    def line(text: str) -> None:
        out.append("  " * depth + text)

    if plan.count is not None:
        line(f"count of {plan.count.name} by the index")
        depth += 1
    if plan.page is not None and plan.top_k is None:
        line(f"rows of {plan.page.scan.name} by the index")
        depth += 1
    if plan.top_k is not None:
        more = "" if plan.top_k.exact else ", more of it until there are enough"
        line(f"top-k by score: {plan.top_k.rows} rows from {plan.top_k.scan.name}{more}")
        depth += 1
    elif query.limit is not None or query.offset:
        line(f"limit {query.limit if query.limit is not None else 'all'} offset {query.offset}")
        depth += 1
    if query.order_by:
        keys = ", ".join(_key(k, query) for k in query.order_by)
        line(f"sort: {keys}")
        depth += 1
    for text, level in _body(query.body, plan):
        out.append("  " * (depth + level) + text)
    for cte in query.ctes:
        out.append(f"w{cte.number} = {'recursive ' if cte.recursive else ''}common table")
        out += ["  " * (level + 1) + text for text, level in _body(cte.query.body, plan)]
    served = (*plan.accesses.values(), *plan.narrowed.values())
    accesses = dict.fromkeys(a.scan for a in served if a.scan is not None)
    for scan in (*accesses, *(s for s in plan.scores.values() if s not in accesses)):
        suffix = _measured(scan.name, rows, times)
        if isinstance(scan, TextScan):
            all_of_it = plan.page is not None and plan.top_k is None
            k = f", first {scan.limit}" if scan.limit is not None and not all_of_it else ""
            scored = ", scored" if scan.scored and not all_of_it else ""
            lines = ", then checked by their lines" if scan.lines is not None else ""
            most = "at most" if scan.among is None else "about"
            among = f" in commits of {scan.among.name}" if scan.among is not None else ""
            out.append(
                f"{scan.name} = text index {scan.table}: {_search(scan)}{among}"
                f" ({most} {scan.estimate}{scored}{k}{lines}){suffix}"
            )
        else:
            out.append(f"{scan.name} = commit graph: {scan.kind} {scan.revision!r}{suffix}")
    for texts in plan.texts.values():
        of = " and ".join(hits.name for hits in texts.hits)
        out.append(
            f"{texts.name} = hunks of {of}, their lines from beside the index (if up to"
            f" {MOST_BYTES >> 20} MB){_measured(texts.name, rows, times)}"
        )
    for function in plan.functions.values():
        asked = _repositories(function)
        out.append(
            f"{function.name} = commit graph: {function.call.text}"
            f"{' for all commits' if function.scan is not None else ''}, {asked}"
            f"{_measured(function.name, rows, times)}"
        )
    for members in plan.members.values():
        refs = " AND ".join(_short(e) for e in _where(members)) or "all refs"
        of = f", only {', '.join(members.hashes)}" if members.hashes is not None else ""
        out.append(
            f"{members.name} = commit graph: commits of {refs}{of}"
            f"{_measured(members.name, rows, times, 'refs')}"
        )
    out += [
        f"{t.name} = {_tree(t, plan)}{_measured(t.name, rows, times)}" for t in plan.trees.values()
    ]
    if rows is not None:
        out.append(f"result: {rows.get('result', 0)} rows{_measured('result', None, times)}")
    return "\n".join(out)


def _tree(tree: TreeScan, plan: Plan) -> str:
    """Returns in which order a tree is read, and what narrows it on the way."""
    filters = dict(tree.filters)
    last = catalog.STAGES.index(tree.stage)
    parts = []
    for stage in catalog.STAGES[: last + 1]:
        # What the last stage leaves is asked by the statement alone, but for contents: these are
        # not kept where they do not pass.
        asked = filters.get(stage, ()) if stage != tree.stage or stage == "content" else ()
        where = " AND ".join(_predicate(e, plan) for e in asked)
        if stage != "repo" or where:
            parts.append(_READ[stage] + (f" where {where}" if where else ""))
    if tree.history:
        parts.append("their history")
    if tree.limit is not None and tree.stage == "content":
        parts[-1] += f", first {tree.limit}"
    return f"tree at {tree.scan.revision!r}: {'; '.join(parts)}"


def _repositories(function: GraphFunction) -> str:
    if function.repos is not None:
        return f"asked of {', '.join(sorted(function.repos)) or 'no repository'}"
    return "asked of all" if function.call.repo is None else "asked of the row's repository"


def _where(members: Members) -> tuple[bound.Expr, ...]:
    body = members.refs.body
    return body.where if isinstance(body, bound.BoundSelect) else ()


def _measured(
    name: str,
    rows: Mapping[str, int] | None,
    times: Mapping[str, float] | None,
    unit: str = "rows",
) -> str:
    parts = []
    if rows and name in rows:
        parts.append(f"{rows[name]} {unit}")
    if times and name in times:
        parts.append(f"{times[name] * 1000:.1f} ms")
    return f" [{', '.join(parts)}]" if parts else ""


def _key(key: bound.OrderKey, query: bound.BoundQuery) -> str:
    name = query.names[key.expr.index] if isinstance(key.expr, bound.Output) else _short(key.expr)
    nulls = {None: "", True: " nulls first", False: " nulls last"}[key.nulls_first]
    return name + (" desc" if key.descending else "") + nulls


def _body(body: bound.Body, plan: Plan) -> list[tuple[str, int]]:
    match body:
        case bound.BoundSelect():
            out: list[tuple[str, int]] = []
            level = 0
            if body.distinct:
                on = ", ".join(
                    body.names[e.index] if isinstance(e, bound.Output) else _short(e)
                    for e in body.distinct_on
                )
                out.append((f"distinct on {on}" if on else "distinct", level))
                level += 1
            if body.is_grouped:
                shown = [_short(g) for g in body.group_by]
                keys = ", ".join(shown) or "()"
                if body.sets:
                    keys = ", ".join(f"({', '.join(shown[i] for i in one)})" for one in body.sets)
                out.append((f"aggregate by {keys}", level))
                level += 1
            out += [(f"filter {_predicate(conjunct, plan)}", level) for conjunct in body.where]
            if body.where:
                level += 1
            out += [(text, level + extra) for text, extra in _relation(body.from_, plan)]
            return out
        case bound.BoundSet():
            return [
                (body.op.lower(), 0),
                *((t, n + 1) for t, n in _body(body.left, plan)),
                *((t, n + 1) for t, n in _body(body.right, plan)),
            ]
        case bound.BoundQuery():
            return _body(body.body, plan)
        case bound.BoundValues():
            return [(f"values: {len(body.rows)} rows", 0)]


def _relation(relation: bound.Relation | None, plan: Plan) -> list[tuple[str, int]]:
    match relation:
        case None:
            return [("one row", 0)]
        case bound.Scan():
            text = f"scan {relation.table.name}"
            if relation.revision is not None:
                text += f" at {relation.revision!r} from {plan.trees[relation].name}"
            if relation.alias.lower() != relation.table.name:
                text += f" as {relation.alias}"
            for f in plan.line_filters.get(relation, ()):
                access = plan.accesses[f]
                how = (
                    f"candidates from {access.scan.name}"
                    if access.scan
                    else f"scanned: {access.reason}"
                )
                text += f"; lines {f.mode} {f.pattern!r} ({how})"
            members = plan.members.get(relation)
            if members is not None:
                text += f"; rows from {members.name}"
            if relation in plan.texts:
                text += f"; hunks from {plan.texts[relation].name}"
            narrowed = plan.narrowed.get(relation)
            if narrowed is not None:
                how = (
                    f"candidates from {narrowed.scan.name}"
                    if narrowed.scan
                    else f"text scanned: {narrowed.reason}"
                )
                text += f"; {how}"
            return [(text, 0)]
        case bound.Derived():
            if relation.query is None:
                return [(f"common table w{relation.cte} as {relation.alias}", 0)]
            return [
                (f"sub-query {relation.alias}".rstrip(), 0),
                *((t, n + 1) for t, n in _body(relation.query.body, plan)),
            ]
        case bound.Join():
            on = f" on {_predicate(relation.on, plan)}" if relation.on is not None else ""
            return [
                (f"{relation.kind} join{on}", 0),
                *((t, n + 1) for t, n in _relation(relation.left, plan)),
                *((t, n + 1) for t, n in _relation(relation.right, plan)),
            ]


def _predicate(expr: bound.Expr, plan: Plan) -> str:
    match expr:
        case bound.TextMatch() | bound.LineMatch() | bound.RevisionMatch():
            access = plan.accesses[expr]
            if access.scan is None:
                return f"{expr.text} (scanned: {access.reason})"
            kind = (
                "row set"
                if isinstance(access.scan, RowSet)
                else "exact"
                if access.exactness is Exactness.EXACT
                else "candidates, checked"
            )
            return f"{expr.text} ({kind}: {access.scan.name})"
        case bound.Junction():
            return "(" + f" {expr.op} ".join(_predicate(o, plan) for o in expr.operands) + ")"
        case bound.Negation():
            return f"NOT {_predicate(expr.operand, plan)}"
    return _short(expr)


def _search(scan: TextScan) -> str:
    within = scan.within
    parts = [] if scan.node == textquery.And(()) else [_query(scan.node)]
    parts += [] if within.node is None else [f"within {_query(within.node)}"]
    return " AND ".join([*parts, *map(_fact, within.facts)]) or "all"


def _fact(fact: Fact) -> str:
    if isinstance(fact, OneOf):
        shown = ", ".join(map(repr, fact.values))
        return f"{fact.field} = {shown}" if len(fact.values) == 1 else f"{fact.field} in ({shown})"
    low, high = (_end(fact.field, end) for end in (fact.low, fact.high))
    if fact.low == fact.high:
        return f"{fact.field} = {low}"
    ends = [
        f"{low} <= " if fact.low is not None else "",
        f" <= {high}" if fact.high is not None else "",
    ]
    return f"{ends[0]}{fact.field}{ends[1]}"


def _end(field: str, end: int | None) -> str:
    if end is None or not field.endswith("_date"):
        return str(end)
    try:
        return str(datetime(1970, 1, 1) + timedelta(seconds=end))
    except OverflowError:
        return f"{end} s"


def _query(node: textquery.Node) -> str:
    """Returns a text query much as MATCH has it, with the fields that are looked at."""
    match node:
        case textquery.And():
            return f"({' AND '.join(map(_query, node.children))})"
        case textquery.Or():
            return f"({' OR '.join(map(_query, node.children))})"
        case textquery.AtLeast():
            return f"at least {node.count} of ({', '.join(map(_query, node.children))})"
        case textquery.Not():
            return f"-{_query(node.child)}"
        case textquery.Boost():
            return f"{_query(node.child)}^{node.factor:g}"
        case textquery.Term():
            what = node.word
        case textquery.Phrase():
            what = f'"{" ".join(node.words)}"' + (f"~{node.slop}" if node.slop else "")
        case textquery.Prefix():
            what = f"{node.prefix}*"
        case textquery.Fuzzy():
            what = f"{node.word}~{node.distance}"
        case textquery.TermRegex():
            what = f"/{node.pattern}/"
        case textquery.Substring():
            what = f"contains {node.needle!r}"
        case textquery.Regex():
            what = f"matches {node.pattern!r}"
    return f"{'|'.join(node.fields)}:{what}"


def _short(expr: bound.Expr) -> str:
    match expr:
        case bound.Column():
            return f"{expr.scan.alias}.{expr.column.name}"
        case bound.DerivedColumn():
            return f"t{expr.relation}.c{expr.index}"
        case bound.Constant():
            value = expr.value
            return repr(value.isoformat(" ") if isinstance(value, datetime) else value)
        case bound.Apply() | bound.Aggregate():
            return expr.sql.format(*(_short(a) for a in expr.args))
        case bound.Junction():
            return "(" + f" {expr.op} ".join(_short(o) for o in expr.operands) + ")"
        case bound.Negation():
            return f"NOT {_short(expr.operand)}"
        case bound.Score():
            return f"score({expr.scan.alias})"
        case bound.Highlight():
            return f"highlight({_short(expr.column)})"
        case bound.Subquery():
            operand = f"{_short(expr.operand)} " if expr.operand is not None else ""
            return f"{operand}{expr.kind} (sub-query)"
        case bound.WindowCall():
            return f"{_short(expr.function)} over (...)"
        case bound.Output():
            return f"column {expr.index + 1}"
        case bound.TextMatch() | bound.LineMatch() | bound.TouchMatch() | bound.RevisionMatch():
            return expr.text
        case bound.GraphCall():
            return expr.text
