"""A new column with a CHECK makes the server look at every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_checked(operation: Operation, _context: Context) -> bool:
    return operation.has("check")


RULE = Rule(
    name="column_with_check",
    level="warn",
    on=frozenset({"add_column"}),
    why="ADD COLUMN {column} … CHECK (…) verifies all rows of {relation} under AccessExclusiveLock",
    fix="add the column alone, then ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT",
    applies=_is_checked,
)
