"""A foreign key checked at once blocks writes on both tables for the whole scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _checks_at_once(operation: Operation, _context: Context) -> bool:
    return not operation.marks & {"not_valid", "not_enforced"}


RULE = Rule(
    name="foreign_key_without_not_valid",
    level="refuse",
    on=frozenset({"add_foreign_key"}),
    why="ADD FOREIGN KEY takes ShareRowExclusiveLock on {relation} and on {detail} while every row is checked",
    fix=(
        "ALTER TABLE {relation} ADD CONSTRAINT {name} {definition} NOT VALID; /* then, in a transaction of "
        "its own: */ ALTER TABLE {relation} VALIDATE CONSTRAINT {name};"
    ),
    applies=_checks_at_once,
)
