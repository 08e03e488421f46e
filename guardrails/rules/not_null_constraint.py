"""A NOT NULL constraint checked at once scans the table under the strongest lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _checks_at_once(operation: Operation, _context: Context) -> bool:
    return not operation.has("not_valid")


RULE = Rule(
    name="not_null_constraint",
    level="refuse",
    on=frozenset({"add_not_null"}),
    why="ADD CONSTRAINT NOT NULL takes AccessExclusiveLock on {relation} while every row is checked",
    fix=(
        "ALTER TABLE {relation} ADD CONSTRAINT {name} {definition} NOT VALID; /* then, in a transaction of "
        "its own: */ ALTER TABLE {relation} VALIDATE CONSTRAINT {name};"
    ),
    applies=_checks_at_once,
)
