"""`x NOT IN (SELECT y …)` → NOT EXISTS, with what NULL means kept.

NOT IN is true when the subquery is empty, else when x is no NULL, no y is a NULL and none equals x. So at the top of a
WHERE, where NULL and false are the same, it is: no y equals x, and no y is NULL, and x is not NULL or there is no row.
The last two fall away for columns that are never NULL; PostgreSQL plans the first as an anti-join, NOT IN it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.rewriting.scope import NotSure, Query, has, inner_only, set_where, where_of

if TYPE_CHECKING:
    from agent.database.rewriting.scope import Scope

NAME = "negated_in"
WHY = (
    "NOT IN over a subquery is no join for PostgreSQL; NOT EXISTS is, and keeps the answer with NULLs in either column"
)


def rewrite(query: Query) -> int:
    """Replaces each NOT IN among the conditions that WHERE joins by AND; how many."""
    select = query.outer.select
    parts = where_of(select)
    replaced: list[exp.Expr] = []
    count = 0
    for part in parts:
        found = _negated(part)
        if found is None:
            replaced.append(part)
            continue
        count += 1
        replaced += _conditions(query, *found)
    if not count:
        return 0
    if has(select, "limit", "offset"):
        raise NotSure("with LIMIT another plan may give other rows first")
    set_where(select, replaced)
    return count


def _negated(part: exp.Expr) -> tuple[exp.Column, exp.Select] | None:
    if not isinstance(part, exp.Not):
        return None
    within = part.this.unnest()
    if not isinstance(within, exp.In) or not isinstance(within.this, exp.Column):
        return None
    subquery = within.args.get("query")
    inner = subquery.this if isinstance(subquery, exp.Subquery) else None
    return (within.this, inner) if isinstance(inner, exp.Select) else None


def _conditions(query: Query, column: exp.Column, inner: exp.Select) -> list[exp.Expr]:
    scope = query.scope(inner)
    if not query.belongs(column, query.outer):
        raise NotSure("NOT IN about no column of its own FROM")
    if has(inner, "group", "having", "limit", "offset") or len(inner.expressions) != 1:
        raise NotSure("the subquery of NOT IN groups, limits or gives more than a column")
    output = inner.expressions[0]
    value = output.this if isinstance(output, exp.Alias) else output
    if not isinstance(value, exp.Column) or isinstance(value.this, exp.Star) or not query.belongs(value, scope):
        raise NotSure("the subquery of NOT IN gives no plain column of its own")
    if any(select is not inner for select in inner.find_all(exp.Select)):
        raise NotSure("a subquery in the subquery of NOT IN")
    _keep_apart(query, scope)
    conditions = [_none(inner, exp.EQ(this=column.copy(), expression=value.copy()))]
    if not query.shape(value).not_null or _nullable(query, value) or not inner_only(inner):
        conditions.append(_none(inner, _is_null(value)))
    if not query.shape(column).not_null or _nullable(query, column):
        given = exp.Is(this=column.copy(), expression=exp.Null(), negate=True)
        conditions.append(exp.Or(this=given, expression=_none(inner, None)))
    return conditions


def _keep_apart(query: Query, scope: Scope) -> None:
    """The outer column goes into the subquery, where a table of the same name would capture it."""
    for alias in [alias for alias in scope.sources if alias in query.outer.sources]:
        query.rename(scope.sources[alias], query.unused_name(alias))


def _nullable(query: Query, column: exp.Column) -> bool:
    source = query.source(column)
    return source is None or source.nullable


def _is_null(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.Null())


def _none(inner: exp.Select, condition: exp.Expr | None) -> exp.Expr:
    found = inner.copy()
    for part in ("distinct", "order"):
        found.set(part, None)
    found.set("expressions", [exp.Literal.number(1)])
    where = [*where_of(inner), *([condition] if condition is not None else [])]
    set_where(found, where)
    return exp.Not(this=exp.Exists(this=found))
