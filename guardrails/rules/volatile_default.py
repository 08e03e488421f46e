"""A default that differs from row to row rewrites the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _differs_by_row(operation: Operation, _context: Context) -> bool:
    return operation.has("volatile_default")


RULE = Rule(
    name="volatile_default",
    level="refuse",
    on=frozenset({"add_column"}),
    why="the DEFAULT of {column} is volatile: {relation} and all its indexes are rewritten under AccessExclusiveLock",
    fix=(
        "{first}ALTER TABLE {relation} ALTER COLUMN {column} SET DEFAULT {default}; /* then fill old rows in batches */"
    ),
    applies=_differs_by_row,
)
