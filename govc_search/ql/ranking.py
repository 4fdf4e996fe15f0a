"""Scores, and the first rows by score: what the text index finds without reading all hits."""

from __future__ import annotations

from dataclasses import replace

from govc_search import textquery
from govc_search.facts import Within, names
from govc_search.ql import bound, candidates
from govc_search.ql.narrowing import Narrowing, facts_of, reads
from govc_search.ql.page import lookup_of
from govc_search.ql.plan import Access, Exactness, Plan, TextScan, TopK
from govc_search.ql.queries import index_query, positive

__all__ = ["alone", "score", "top_k"]

# So many rows of a ranked page bring along what the table is slow to find.
_BROUGHT_ROWS = 200
# Of fewer hits all are read at once; of more, at first so many for each row that is wanted.
_FEW_HITS = 1_000
_HITS_PER_ROW = 20
# So many rows are shown sooner one by one from the index than by a statement.
_FEW_ROWS = 20
_COUNT = bound.Aggregate("count(*)", (), "INTEGER", distinct=False, order=(), where=None)


def score(
    plan: Plan, narrowing: Narrowing, select: bound.BoundSelect, order: tuple[bound.OrderKey, ...]
) -> None:
    """Gives each scan whose score is asked for the search that computes it.

    The score is that of all its text predicates together, whatever serves them.
    """
    wanted = {
        n.scan
        for n in bound.walk((select, order), into_queries=False)
        if isinstance(n, bound.Score)
    }
    for scan in bound.scans(select.from_):
        table = scan.table.index
        if scan not in wanted or scan in plan.scores or table is None:
            continue
        matches = [
            n
            for e in select.where
            for n in positive(e)
            if isinstance(n, bound.TextMatch) and n.scan == scan
        ]
        found = dict.fromkeys(index_query(m)[0] for m in matches)
        nodes = tuple(n for n in found if n is not None)
        if not nodes:
            continue
        node = nodes[0] if len(nodes) == 1 else textquery.Or(nodes)
        assert narrowing.text is not None
        served = narrowing.text.serve(table, node)
        if Exactness[served.exactness.name] is Exactness.UNSUPPORTED:
            continue
        conjuncts = narrowing.matches(select, scan)
        if not conjuncts:
            plan.scores[scan] = TextScan(
                narrowing.name("x"), table, node, served.estimate, scored=True
            )
            continue
        search = narrowing.searches[scan]
        within = search.within if search.node == node else replace(search.within, node=search.node)
        scored = replace(search, node=node, scored=True, within=within)
        for match in conjuncts:
            plan.accesses[match] = replace(plan.accesses[match], scan=scored)
        narrowed = plan.narrowed.get(scan)
        if narrowed is not None and narrowed.scan is not None:
            plan.narrowed[scan] = replace(narrowed, scan=scored)
        if bound.kept(select.from_, scan):
            exact = (c for c in conjuncts if plan.accesses[c].exactness is Exactness.EXACT)
            plan.joined[scan] = frozenset(exact)
        plan.scores[scan] = scored


def top_k(plan: Plan) -> None:
    """Lets the text index find the first rows where the score decides first.

    It alone does, where it holds all that is asked of them. Else more of its hits are read until
    enough meet the other conditions.
    """
    query = plan.query
    select = query.body
    if not isinstance(select, bound.BoundSelect) or query.limit is None or not query.order_by:
        return
    scan = select.from_
    plain = not (select.is_grouped or select.qualify or select.distinct)
    if not isinstance(scan, bound.Scan) or not plain or scan not in plan.joined:
        return
    if any(
        isinstance(n, bound.Aggregate | bound.WindowCall)
        for e in (*select.exprs, *(k.expr for k in query.order_by))
        for n in bound.walk(e)
    ):
        return
    first = query.order_by[0]
    key = select.exprs[first.expr.index] if isinstance(first.expr, bound.Output) else first.expr
    scored = plan.scores[scan]
    if key != bound.Score(scan) or not first.descending or scan.table.name != scored.table:
        return
    if any(s.among is not None and s.among.name == scored.name for s in plan.text_scans):
        return
    answered = frozenset(
        c for c in select.where if c in plan.joined[scan] or candidates.held(c, scan) is not None
    )
    rows = query.limit + query.offset
    exact = answered == frozenset(select.where)
    first_hits = rows if exact else max(_FEW_HITS, rows * _HITS_PER_ROW)
    if not exact and scored.estimate <= first_hits:
        return
    brings: list[str] = []
    if exact and rows <= _BROUGHT_ROWS:
        brings += ["message"] if reads(plan, scan, "b.message", "b.body") else []
        brings += ["subject"] if reads(plan, scan, "b.subject") else []
    limited = replace(scored, limit=first_hits, brings=tuple(brings) if exact else scored.brings)
    for predicate, access in plan.accesses.items():
        if access.scan == scored:
            plan.accesses[predicate] = Access(access.exactness, limited)
    if exact:
        # The hits say all that these do; the table need not be asked.
        plan.narrowed.pop(scan, None)
        plan.answered = answered - plan.joined[scan]
    elif scan in plan.narrowed:
        plan.narrowed[scan] = replace(plan.narrowed[scan], scan=limited)
    plan.scores[scan] = limited
    plan.top_k = TopK(limited, rows, exact)


def alone(plan: Plan, narrowing: Narrowing) -> None:
    """Lets the text index answer where it holds all that is asked of one table.

    It counts what it finds, or shows the few rows that there are.
    """
    query, select = plan.query, plan.query.body
    if not isinstance(select, bound.BoundSelect) or not isinstance(select.from_, bound.Scan):
        return
    scan, table = select.from_, select.from_.table
    grouped = select.group_by or select.sets
    if grouped or select.having or select.qualify or select.distinct or query.ctes:
        return
    if table.name != table.index or not select.where or plan.top_k is not None:
        return
    matches = narrowing.matches(select, scan)
    facts = facts_of(select.where, scan)
    for conjunct in select.where:
        exact = conjunct in matches and plan.accesses[conjunct].exactness is Exactness.EXACT
        if not exact and candidates.held(conjunct, scan) is None:
            return
    if not matches and not any(map(names, facts)):
        # The table is quicker with numbers.
        return
    words = tuple(dict.fromkeys(n for m in matches if (n := index_query(m)[0]) is not None))
    node = words[0] if len(words) == 1 else textquery.And(words)
    estimate = narrowing.estimate(table.name, node, facts)
    known = narrowing.searches.get(scan)
    name = narrowing.name("x") if known is None else known.name
    search = TextScan(name, table.name, node, estimate, within=Within(None, facts))
    if select.exprs == (_COUNT,) and query.limit is None and not query.offset:
        plan.count = search
    elif table.name == "commits" and estimate <= _FEW_ROWS and scan not in plan.scores:
        plan.page = lookup_of(plan, search)
        if plan.page is None:
            return
        search = plan.page.scan
    else:
        return
    # Nothing else of the plan is carried out.
    for match in matches:
        plan.accesses[match] = replace(plan.accesses[match], scan=search)
    plan.narrowed = {scan: Access(Exactness.EXACT, search)}
