"""A UNIQUE constraint builds its index under the strongest lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _builds_an_index(operation: Operation, _context: Context) -> bool:
    return operation.has("unique") if operation.name == "add_column" else not operation.has("using_index")


RULE = Rule(
    name="unique_constraint",
    level="refuse",
    on=frozenset({"add_unique", "add_column"}),
    why="UNIQUE builds an index on {relation} under AccessExclusiveLock: reads and writes wait",
    fix=(
        "{first}CREATE UNIQUE INDEX CONCURRENTLY {name} ON {relation} ({key}){nulls}; "
        "ALTER TABLE {relation} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{deferral};"
    ),
    applies=_builds_an_index,
)
