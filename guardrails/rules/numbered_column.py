"""A new serial or identity column rewrites the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _numbers_rows(operation: Operation, _context: Context) -> bool:
    return operation.marks & {"serial", "identity"} != frozenset()


RULE = Rule(
    name="numbered_column",
    level="refuse",
    on=frozenset({"add_column"}),
    why="numbering every row of {relation} rewrites it and all its indexes under AccessExclusiveLock",
    fix=(
        "ALTER TABLE {relation} ADD COLUMN {column} bigint; /* fill it in batches from a sequence of its own,"
        " then SET DEFAULT nextval() of it */"
    ),
    applies=_numbers_rows,
)
