"""SET NOT NULL reads the whole table under the strongest lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule
from guardrails.sql.statement import folded

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _scans(operation: Operation, context: Context) -> bool:
    return (folded(operation.relation), folded(operation.column)) not in context.proven or any(
        other.name == "drop_constraint" for other in context.statement.operations
    )


RULE = Rule(
    name="set_not_null",
    level="refuse",
    on=frozenset({"set_not_null"}),
    why="SET NOT NULL takes AccessExclusiveLock on {relation} and scans it, unless a valid CHECK already proves it",
    fix=(
        "ALTER TABLE {relation} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID; /* then, each "
        "in a transaction of its own: */ ALTER TABLE {relation} VALIDATE CONSTRAINT {name}; ALTER TABLE "
        "{relation} ALTER COLUMN {column} SET NOT NULL; ALTER TABLE {relation} DROP CONSTRAINT {name};"
    ),
    applies=_scans,
)
