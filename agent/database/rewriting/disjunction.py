"""An OR over columns of several tables → UNION ALL of its branches, each row in the first branch that takes it.

`P OR Q` is true where P is true, or where Q is true and P is not (false or NULL). So no row is lost and none comes
twice, and no DISTINCT is needed, which would eat the duplicates that the query itself gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.missing_index import folded
from agent.database.rewriting.scope import (
    NotSure,
    Query,
    columns_of,
    disjuncts,
    has,
    output_names,
    set_where,
    where_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "disjunction"
WHY = "An OR over several tables can use no index; each branch of a UNION ALL can use its own"

MAX_BRANCHES = 4
"""Each branch reads the tables again; beyond a few the plan of the one OR is no worse."""


def rewrite(query: Query) -> exp.Query | None:
    """The union of the branches of the first such OR; None when the query has none."""
    select = query.outer.select
    parts = where_of(select)
    for position, part in enumerate(parts):
        branches = _branches(query, part) if isinstance(part, exp.Or) else []
        if branches:
            _check(select)
            return _union(select, [*parts[:position], *parts[position + 1 :]], branches)
    return None


def _branches(query: Query, condition: exp.Expr) -> list[exp.Expr]:
    """The branches by the tables they ask about; none unless at least two different ones, or a subquery, are there."""
    grouped: dict[frozenset[int], list[exp.Expr]] = {}
    for part in disjuncts(condition):
        sources = frozenset(id(query.source(column)) for column in columns_of(part))
        if not sources:
            raise NotSure("a branch of the OR names no column")
        grouped.setdefault(sources, []).append(part)
    if len(grouped) < 2 or len(grouped) > MAX_BRANCHES:  # noqa: PLR2004 one branch is no union
        return []
    return [_either(parts) for parts in grouped.values()]


def _check(select: exp.Select) -> None:
    if has(select, "group", "having", "distinct", "limit", "offset"):
        raise NotSure("what is grouped, distinct or limited is not put together from branches")
    for output in select.expressions:
        if output.find(exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max):
            raise NotSure("aggregates are not put together from branches")
        if isinstance(output, exp.Literal | exp.Parameter | exp.Null):
            raise NotSure("a constant without a name or type in the output")


def _union(select: exp.Select, rest: Sequence[exp.Expr], branches: Sequence[exp.Expr]) -> exp.Query:
    order = select.args.get("order")
    queries = []
    for number, branch in enumerate(branches):
        one = select.copy()
        one.set("order", None)
        before = _either(branches[:number]) if number else None
        without = (
            [exp.Not(this=exp.Is(this=exp.Paren(this=before.copy()), expression=exp.Boolean(this=True)))]
            if before
            else []
        )
        set_where(one, [*rest, branch, *without])
        queries.append(one)
    joined: exp.Query = queries[0]
    for one in queries[1:]:
        joined = exp.Union(this=joined, expression=one, distinct=False)
    if order is not None:
        joined.set("order", exp.Order(expressions=[_by_output(select, item) for item in order.expressions]))
    return joined


def _by_output(select: exp.Select, item: exp.Expr) -> exp.Expr:
    """A union is ordered by the names of its output columns only."""
    wanted = item.this
    if isinstance(wanted, exp.Literal) and wanted.is_int:
        return item.copy()
    names = output_names(select)
    for output, name in zip(select.expressions, names, strict=True):
        value = output.this if isinstance(output, exp.Alias) else output
        by_name = isinstance(wanted, exp.Column) and not wanted.table and folded(wanted.this) == name
        if name and names.count(name) == 1 and (by_name or value == wanted):
            again = item.copy()
            again.set("this", exp.column(exp.to_identifier(name, quoted=_must_quote(output))))
            return again
    raise NotSure("the order is by something that is no output column")


def _must_quote(output: exp.Expr) -> bool:
    identifier = output.args["alias"] if isinstance(output, exp.Alias) else output.this
    return bool(identifier.args.get("quoted"))


def _either(parts: Sequence[exp.Expr]) -> exp.Expr:
    joined = parts[0].copy()
    for part in parts[1:]:
        joined = exp.Or(this=joined, expression=part.copy())
    return joined
