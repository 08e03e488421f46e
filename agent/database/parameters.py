"""Which columns a normalised statement's parameters are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agent.database.missing_index import MAX_QUERY_CHARS, folded

_COMPARED = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


@dataclass(frozen=True, slots=True)
class Compared:
    """Parameter number, and the column it is compared with; schema None as the text has none."""

    number: int
    schema: str | None
    table: str
    column: str


def compared(query: str) -> tuple[Compared, ...] | None:
    """One for each parameter, in order; None when any of them is anything but compared with a column."""
    if len(query) > MAX_QUERY_CHARS:
        return None
    try:
        tree = sqlglot.parse_one(query, dialect="postgres")
    except (SqlglotError, RecursionError, ValueError):
        return None
    tables = _tables(tree)
    found: dict[int, Compared] = {}
    for parameter in tree.find_all(exp.Parameter):
        one = _one(parameter, tables)
        if one is None or found.setdefault(one.number, one) != one:
            return None
    numbers = sorted(found)
    if numbers != list(range(1, len(numbers) + 1)):
        return None
    return tuple(found[number] for number in numbers)


def _tables(tree: exp.Expr) -> dict[str, tuple[str | None, str]]:
    """By alias; one that stands for two tables is left out."""
    found: dict[str, tuple[str | None, str]] = {}
    twice: set[str] = set()
    for table in tree.find_all(exp.Table):
        alias = table.args.get("alias")
        name = folded(alias.this if alias is not None else table.this)
        here = (folded(table.args.get("db")) or None, folded(table.this))
        if found.setdefault(name, here) != here:
            twice.add(name)
    return {name: table for name, table in found.items() if name not in twice}


def _one(parameter: exp.Parameter, tables: dict[str, tuple[str | None, str]]) -> Compared | None:
    comparison = parameter.parent
    if not isinstance(comparison, _COMPARED) or not parameter.name.isdigit():
        return None
    other = comparison.expression if comparison.this is parameter else comparison.this
    if not isinstance(other, exp.Column):
        return None
    if other.table:
        table = tables.get(folded(other.args["table"]))
    else:
        table = next(iter(tables.values())) if len(tables) == 1 else None
    if table is None:
        return None
    return Compared(int(parameter.name), table[0], table[1], folded(other.this))
