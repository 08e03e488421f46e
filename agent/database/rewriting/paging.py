"""OFFSET reads and throws away every row before the page; a page that begins after the last row seen does not.

No rewrite, since the application has to hand over that row: a hint with the query it could ask.
"""

from __future__ import annotations

from sqlglot import exp

from agent.database.missing_index import folded
from agent.database.rewriting.scope import Query, set_where, where_of

NAME = "offset_paging"
WHY = "OFFSET reads and throws away every row before the page; asking for what comes after the last row seen does not"


def rewrite(query: Query) -> int:
    """1 when the order is by columns of one table that are never NULL and hold a key of it; else 0."""
    select = query.outer.select
    order = select.args.get("order")
    if not select.args.get("offset") or not select.args.get("limit") or order is None or select.args.get("distinct"):
        return 0
    if select.args.get("group") or len(query.outer.sources) != 1:
        return 0
    (source,) = query.outer.sources.values()
    columns = [_input_column(select, item.this) for item in order.expressions]
    directions = {bool(item.args.get("desc")) for item in order.expressions}
    known = [column for column in columns if column is not None and _never_null(query, column)]
    names = {folded(column.this) for column in known}
    if len(known) != len(columns) or len(directions) != 1:
        return 0
    if not any(set(key) <= names for key in source.shape.keys):
        return 0
    seen = [exp.Parameter(this=exp.Literal.number(number)) for number in _unused_numbers(select, len(known))]
    left: exp.Expr = known[0].copy() if len(known) == 1 else exp.Tuple(expressions=[column.copy() for column in known])
    right: exp.Expr = seen[0] if len(seen) == 1 else exp.Tuple(expressions=list(seen))
    after = (exp.LT if directions == {True} else exp.GT)(this=left, expression=right)
    set_where(select, [*where_of(select), after])
    select.set("offset", None)
    return 1


def _input_column(select: exp.Select, ordered: exp.Expr) -> exp.Column | None:
    """The table's column behind an ORDER BY item; a bare name of an output column stands for that column."""
    if not isinstance(ordered, exp.Column):
        return None
    if ordered.table:
        return ordered
    for output in select.expressions:
        value = output.this if isinstance(output, exp.Alias) else output
        if output.alias_or_name == ordered.name and isinstance(value, exp.Column):
            return value
    return None


def _never_null(query: Query, column: exp.Column) -> bool:
    source = query.source(column)
    shape = source.shape.column(folded(column.this)) if source else None
    return shape is not None and shape.not_null


def _unused_numbers(select: exp.Select, count: int) -> range:
    used = [int(parameter.name) for parameter in select.find_all(exp.Parameter) if parameter.name.isdigit()]
    top = max(used, default=0)
    return range(top + 1, top + 1 + count)
