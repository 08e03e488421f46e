"""A new enum value without BEFORE or AFTER sorts last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _has_no_place(operation: Operation, _context: Context) -> bool:
    return not operation.has("ordered")


RULE = Rule(
    name="enum_value_order",
    level="note",
    on=frozenset({"enum_value"}),
    why="ADD VALUE without BEFORE or AFTER puts the value last, and the order cannot be changed later",
    fix="ALTER TYPE {detail} ADD VALUE … AFTER …",
    applies=_has_no_place,
)
