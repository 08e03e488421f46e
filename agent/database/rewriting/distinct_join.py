"""DISTINCT over a join that only multiplies rows → EXISTS.

When every output column comes from one table, the other tables of the inner join decide whether a row is there, not
what it is. DISTINCT stays unless the output holds a key of that table.
"""

from __future__ import annotations

from sqlglot import exp

from agent.database.missing_index import folded
from agent.database.rewriting.scope import (
    NotSure,
    Query,
    Source,
    columns_of,
    conjuncts,
    has,
    inner_only,
    set_where,
    where_of,
)

NAME = "distinct_join"
WHY = "The join makes every match a row and DISTINCT throws them away again; EXISTS stops at the first match"


def rewrite(query: Query) -> int:
    """Rewrites the outer query; 1, or 0 when it is no such query."""
    outer = query.outer
    select = outer.select
    if not select.args.get("distinct") or len(outer.sources) < 2 or not inner_only(select):  # noqa: PLR2004 a join
        return 0
    if has(select, "group", "having", "limit", "offset") or any(s is not select for s in select.find_all(exp.Select)):
        raise NotSure("DISTINCT beside grouping, LIMIT or a subquery")
    kept = _only_source(query, select)
    if kept is None:
        return 0
    joins = select.args.get("joins") or []
    conditions = [*(part for join in joins for part in conjuncts(join.args.get("on"))), *where_of(select)]
    own: list[exp.Expr] = []
    others: list[exp.Expr] = []
    for part in conditions:
        sources = {id(query.source(column)) for column in columns_of(part)}
        (own if sources <= {id(kept)} else others).append(part)
    if not others:
        raise NotSure("no condition joins the tables")
    _rebuild(query, select, kept, own, others)
    return 1


def _only_source(query: Query, select: exp.Select) -> Source | None:
    """The one table that all output and order columns come from."""
    found: set[int] = set()
    sources: list[Source] = []
    for output in select.expressions:
        value = output.this if isinstance(output, exp.Alias) else output
        source = query.source(value) if isinstance(value, exp.Column) else None
        if source is None:
            return None
        found.add(id(source))
        sources.append(source)
    return sources[0] if len(found) == 1 else None


def _rebuild(query: Query, select: exp.Select, kept: Source, own: list[exp.Expr], others: list[exp.Expr]) -> None:
    rest = [source.node for source in query.outer.sources.values() if source is not kept]
    inside = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=rest[0].copy()),
        joins=[exp.Join(this=node.copy(), kind="CROSS") for node in rest[1:]],
    )
    set_where(inside, others)
    if _has_key(select, kept):
        select.set("distinct", None)
    select.set("from_", exp.From(this=kept.node.copy()))
    select.set("joins", [])
    set_where(select, [*own, exp.Exists(this=inside)])


def _has_key(select: exp.Select, kept: Source) -> bool:
    names: set[str] = set()
    for output in select.expressions:
        value = output.this if isinstance(output, exp.Alias) else output
        if isinstance(value.this, exp.Star):
            return bool(kept.shape.keys)
        names.add(folded(value.this))
    return any(set(key) <= names for key in kept.shape.keys)
