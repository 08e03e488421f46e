"""A CHECK added at once scans the table under the strongest lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _checks_at_once(operation: Operation, _context: Context) -> bool:
    return not operation.marks & {"not_valid", "not_enforced"}


RULE = Rule(
    name="check_without_not_valid",
    level="refuse",
    on=frozenset({"add_check"}),
    why="ADD CHECK takes AccessExclusiveLock on {relation} while every row is checked: reads and writes wait",
    fix=(
        "ALTER TABLE {relation} ADD CONSTRAINT {name} {definition} NOT VALID; /* then, in a transaction of "
        "its own: */ ALTER TABLE {relation} VALIDATE CONSTRAINT {name};"
    ),
    applies=_checks_at_once,
)
