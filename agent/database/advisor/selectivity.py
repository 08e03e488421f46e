"""How much of a table a comparison is expected to keep: pg_stats where it says, else PostgreSQL's own defaults.

Defaults: DEFAULT_INEQ_SEL, DEFAULT_RANGE_INEQ_SEL, DEFAULT_MATCH_SEL (src/include/utils/selfuncs.h) and contsel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.demand import Kind, Operand

RANGE = 1 / 3
BETWEEN = 0.005
CONTAINS = 0.001
MATCH = 0.005
PREFIX = 0.005
EXPRESSION_EQUAL = 0.005
_MIN_TRIGRAM_CHARS = 3
_LIKE_WILDCARD = re.compile(r"[%_\\]")
_REGEXP_SPECIAL = re.compile(r"[.*+?\[\](){}|\\^$]")


def equal(table: TableProfile, operand: Operand, value: str | None) -> float:
    """The share of rows with this value; None for one that is not known now (a parameter, a join)."""
    column = table.column(operand.column) if operand.column is not None else None
    if column is None:
        return EXPRESSION_EQUAL
    shares = dict(zip(column.common_values, column.common_shares, strict=False))
    if value is not None and value in shares:
        return shares[value]
    nulls = column.null_share or 0.0
    distinct = table.distinct(column.name)
    if value is None or not shares:
        return (1.0 - nulls) / distinct
    return max(0.0, 1.0 - nulls - sum(shares.values())) / max(1.0, distinct - len(shares))


def several(table: TableProfile, operand: Operand, values: int) -> float:
    return min(1.0, values * equal(table, operand, None))


def null(table: TableProfile, operand: Operand, *, negated: bool) -> float:
    column = table.column(operand.column) if operand.column is not None else None
    share = column.null_share if column is not None and column.null_share is not None else 0.005
    return 1.0 - share if negated else share


def pattern(text: str, condition: exp.Expr) -> tuple[Kind | None, float]:
    """How a LIKE or regular expression can use an index: by its fixed beginning, by trigrams, or not (None)."""
    special = _LIKE_WILDCARD if isinstance(condition, exp.Like | exp.ILike) else _REGEXP_SPECIAL
    anchored = isinstance(condition, exp.Like | exp.ILike) or text.startswith("^")
    body = text if isinstance(condition, exp.Like | exp.ILike) else text.removeprefix("^")
    fixed = special.split(body, maxsplit=1)[0]
    case_sensitive = isinstance(condition, exp.Like | exp.RegexpLike)
    if fixed and anchored and case_sensitive:
        return "prefix", PREFIX
    longest = max((len(part) for part in special.split(body)), default=0)
    return ("like", PREFIX) if longest >= _MIN_TRIGRAM_CHARS else (None, 1.0)
