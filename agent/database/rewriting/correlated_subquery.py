"""A scalar aggregate asked once for each outer row → one grouped subquery, joined.

`(SELECT max(i.at) FROM items i WHERE i.order_id = o.id)` becomes `LEFT JOIN (SELECT i.order_id, max(i.at) … GROUP BY
i.order_id) ON …`. A group's key is unique, so the join adds no row; without a group the aggregate of nothing is NULL,
and 0 for count(). Types whose = is coarser than GROUP BY's equality are refused: two groups could then fit one row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.missing_index import folded
from agent.database.rewriting.scope import (
    NotSure,
    Query,
    has,
    inner_only,
    is_comma,
    set_where,
    where_of,
)

if TYPE_CHECKING:
    from agent.database.rewriting.scope import Scope

NAME = "correlated_subquery"
WHY = "The subquery runs once for each row of the outer query; joined as one grouped subquery it runs once"

_AGGREGATES = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max)
_EXACT = frozenset({"int", "numeric"})
"""Sums and averages of these do not depend on the order of the rows; those of floats do."""
_NEVER_FAILS = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Parameter, exp.Null, exp.Boolean, exp.Paren, exp.Tuple, exp.Star),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ),
    *(exp.NullSafeNEQ, exp.In, exp.Between),
)
"""What may be evaluated for rows that the outer query never asked about: none of it can raise an error."""
_WAY_UP = (exp.Alias, exp.Coalesce, exp.Where, exp.Select, exp.Paren, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT,
           exp.GTE, exp.LT, exp.LTE, exp.Is, exp.Add, exp.Sub, exp.Mul)  # fmt: skip


def rewrite(query: Query) -> int:
    """Replaces every such subquery it is sure of; how many."""
    outer = query.outer
    select = outer.select
    found = [node for node in select.find_all(exp.Subquery) if _replaceable(query, node)]
    if not found:
        return 0
    if has(select, "limit", "offset"):
        raise NotSure("with LIMIT only a few rows ask the subquery, and which rows come first may change")
    if any(isinstance(output, exp.Star) for output in select.expressions):
        raise NotSure("SELECT * would show the joined columns too")
    joins = select.args.get("joins") or []
    if any(is_comma(join) for join in joins):
        if any(join.side in {"RIGHT", "FULL"} for join in joins):
            raise NotSure("a comma beside a RIGHT or FULL join")
        for join in joins:
            if is_comma(join):
                join.set("kind", "CROSS")
    for node in found:
        _replace(query, node)
    return len(found)


def _replaceable(query: Query, node: exp.Subquery) -> bool:
    inner = node.this
    if not isinstance(inner, exp.Select) or query.scope(inner).parent is not query.outer:
        return False
    return _position_known(query, node) and _shape_known(query, inner) and _conditions_known(query, inner)


def _position_known(query: Query, node: exp.Subquery) -> bool:
    """In WHERE, or in the output of a query that does not aggregate: there a row of the FROM is a row of the answer."""
    above: exp.Expr = node
    while (parent := above.parent) is not query.tree:
        if parent is None or not isinstance(parent, _WAY_UP):
            return False
        above = parent
    outer = query.outer.select
    if isinstance(above, exp.Where):
        return True
    aggregates = has(outer, "group", "having") or any(
        function.parent_select is outer for function in outer.find_all(*_AGGREGATES)
    )
    return above.arg_key == "expressions" and not aggregates


def _shape_known(query: Query, inner: exp.Select) -> bool:
    scope = query.scope(inner)
    if has(inner, "group", "having", "order", "limit", "offset", "distinct") or not inner_only(inner):
        return False
    if len(inner.expressions) != 1 or any(select is not inner for select in inner.find_all(exp.Select)):
        return False
    ons = [join.args["on"] for join in inner.args.get("joins") or () if join.args.get("on")]
    if not all(_never_fails(on) and query.belongs(on, scope) for on in ons):
        return False
    aggregate = _aggregate(_value(inner))
    return aggregate is not None and _argument_known(query, aggregate, scope)


def _conditions_known(query: Query, inner: exp.Select) -> bool:
    scope = query.scope(inner)
    pairs = 0
    for part in where_of(inner):
        if _pair(query, part, scope) is not None:
            pairs += 1
        elif not (_never_fails(part) and query.belongs(part, scope)):
            return False
    return pairs > 0


def _argument_known(query: Query, aggregate: exp.Expr, scope: Scope) -> bool:
    argument = aggregate.this
    if isinstance(argument, exp.Star):
        return isinstance(aggregate, exp.Count)
    if isinstance(argument, exp.Distinct) and len(argument.expressions) == 1:
        argument = argument.expressions[0]
    if not isinstance(argument, exp.Column) or not query.belongs(argument, scope):
        return False  # an aggregate over the outer query's column belongs to the outer query
    family = query.shape(argument).family
    if isinstance(aggregate, exp.Sum | exp.Avg):
        return family in _EXACT
    return bool(family)


def _pair(query: Query, part: exp.Expr, scope: Scope) -> tuple[exp.Column, exp.Column] | None:
    """(inner, outer) of `inner column = column of the query just outside`, of one exact type family."""
    if not isinstance(part, exp.EQ):
        return None
    left, right = part.this.unnest(), part.expression.unnest()
    if not isinstance(left, exp.Column) or not isinstance(right, exp.Column):
        return None
    if not query.belongs(left, scope):
        left, right = right, left
    if not query.belongs(left, scope) or not query.belongs(right, query.outer):
        return None
    family = query.shape(left).family
    return (left, right) if family and family == query.shape(right).family else None


def _value(inner: exp.Select) -> exp.Expr:
    output = inner.expressions[0]
    value: exp.Expr = output.this if isinstance(output, exp.Alias) else output
    return value


def _aggregate(value: exp.Expr) -> exp.Expr | None:
    """The aggregate itself, or the one in COALESCE(aggregate, constant)."""
    if isinstance(value, exp.Coalesce) and all(_is_constant(one) for one in value.expressions):
        value = value.this
    return value if isinstance(value, _AGGREGATES) else None


def _is_constant(node: exp.Expr) -> bool:
    return isinstance(node.this if isinstance(node, exp.Neg) else node, exp.Literal)


def _never_fails(node: exp.Expr) -> bool:
    return all(isinstance(part, _NEVER_FAILS) for part in node.walk())


def _replace(query: Query, node: exp.Subquery) -> None:
    inner = node.this
    scope = query.scope(inner)
    alias = query.unused_name("per_row")
    value_name = f"{alias}_value"
    pairs = [pair for part in where_of(inner) if (pair := _pair(query, part, scope))]
    rest = [part for part in where_of(inner) if not _pair(query, part, scope)]
    keys = {f"{alias}_key_{number}": pair for number, pair in enumerate(pairs, 1)}
    value = _value(inner)
    aggregate = _aggregate(value)
    if aggregate is None:
        raise NotSure("no aggregate")

    grouped = inner.copy()
    set_where(grouped, rest)
    grouped.set(
        "expressions",
        [
            *(exp.alias_(inside.copy(), key) for key, (inside, _) in keys.items()),
            exp.alias_(aggregate.copy(), value_name),
        ],
    )
    grouped.set("group", exp.Group(expressions=[inside.copy() for inside, _ in keys.values()]))
    on = exp.and_(*(exp.EQ(this=exp.column(key, alias), expression=o.copy()) for key, (_, o) in keys.items()))
    joined = exp.Join(
        this=exp.Subquery(this=grouped, alias=exp.TableAlias(this=exp.to_identifier(alias))), side="LEFT", on=on
    )
    query.tree.append("joins", joined)

    result: exp.Expr = exp.column(value_name, alias)
    if isinstance(aggregate, exp.Count):
        result = exp.Coalesce(this=result, expressions=[exp.Literal.number(0)])
    if isinstance(value, exp.Coalesce):
        result = exp.Coalesce(this=result, expressions=[one.copy() for one in value.expressions])
    if node.parent is query.tree:  # an output column keeps the name PostgreSQL gave it
        result = exp.alias_(result, _output_name(inner, value))
    node.replace(result)


def _output_name(inner: exp.Select, value: exp.Expr) -> str:
    """FigureColname() in parse_target.c: a subquery is named after its own output, that after its function."""
    output = inner.expressions[0]
    return folded(output.args["alias"]) if isinstance(output, exp.Alias) else value.key
