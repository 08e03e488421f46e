"""An index on more than three columns rarely pays for its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_wide(operation: Operation, _context: Context) -> bool:
    return operation.has("wide") and not operation.has("unique")


RULE = Rule(
    name="wide_index",
    level="note",
    on=frozenset({"create_index"}),
    why="the index has {column} columns; each makes every write dearer, and only the first ones narrow a search",
    fix="the columns compared with =, then one for a range or order; others as INCLUDE if at all",
    applies=_is_wide,
)
