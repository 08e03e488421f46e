"""The rows a write looks for, as a SELECT: that can be planned by a role that may not write."""

from __future__ import annotations

import functools

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agent.database.missing_index import MAX_QUERY_CHARS


@functools.lru_cache(maxsize=512)
def reading_part(query: str) -> str:
    """For an UPDATE or DELETE of one table, and a SELECT … FOR UPDATE; any other text comes back as it is.

    Parameters are numbered anew, since those of SET are gone.
    """
    if len(query) > MAX_QUERY_CHARS:
        return query
    try:
        tree = sqlglot.parse_one(query, dialect="postgres")
    except (SqlglotError, RecursionError, ValueError):
        return query
    reading = _reading(tree)
    if reading is None:
        return query
    numbers: dict[str, int] = {}
    for parameter in reading.find_all(exp.Parameter):
        number = numbers.setdefault(parameter.name, len(numbers) + 1)
        parameter.set("this", exp.Literal.number(number))
    return reading.sql(dialect="postgres", comments=False)


def _reading(tree: exp.Expr) -> exp.Expr | None:
    if isinstance(tree, exp.Select) and tree.args.get("locks"):
        tree.set("locks", None)
        return tree
    if not isinstance(tree, exp.Update | exp.Delete) or not isinstance(tree.this, exp.Table):
        return None
    if tree.args.get("from_") or tree.args.get("using") or tree.args.get("with_") or tree.args.get("where") is None:
        return None
    everything = [exp.Star()]
    return exp.Select(expressions=everything, from_=exp.From(this=tree.this), where=tree.args["where"])
