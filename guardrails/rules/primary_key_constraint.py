"""A PRIMARY KEY builds its index, and may scan for nulls, under the strongest lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _builds_an_index(operation: Operation, _context: Context) -> bool:
    return operation.has("primary_key") if operation.name == "add_column" else not operation.has("using_index")


RULE = Rule(
    name="primary_key_constraint",
    level="refuse",
    on=frozenset({"add_primary_key", "add_column"}),
    why="PRIMARY KEY builds an index on {relation} under AccessExclusiveLock and makes its columns NOT NULL",
    fix=(
        "{first}CREATE UNIQUE INDEX CONCURRENTLY {name} ON {relation} ({key}); /* make its columns NOT NULL "
        "by way of a CHECK first */ ALTER TABLE {relation} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX "
        "{name};"
    ),
    applies=_builds_an_index,
)
