"""A stored generated column rewrites the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_stored(operation: Operation, _context: Context) -> bool:
    return operation.has("stored")


RULE = Rule(
    name="stored_generated_column",
    level="refuse",
    on=frozenset({"add_column"}),
    why="GENERATED ALWAYS AS (…) STORED computes {column} for every row of {relation} under AccessExclusiveLock",
    fix=(
        "ADD COLUMN {column} as a plain column, keep it up to date by a trigger, and fill old rows in "
        "batches; from 18 on, GENERATED … VIRTUAL rewrites nothing"
    ),
    applies=_is_stored,
)
