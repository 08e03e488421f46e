"""timestamp without time zone does not say which moment it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _has_no_zone(operation: Operation, _context: Context) -> bool:
    return operation.detail in ("timestamp", "timestamp without time zone")


RULE = Rule(
    name="timestamp_without_zone",
    level="note",
    on=frozenset({"add_column", "new_column"}),
    why="{column} of type {detail} holds a clock's reading, not a moment",
    fix="{column} timestamptz",
    applies=_has_no_zone,
    new_relations_too=True,
)
