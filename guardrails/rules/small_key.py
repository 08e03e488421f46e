"""A key of four bytes runs out at 2.1 billion rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_SMALL = frozenset({"int", "integer", "int4", "smallint", "int2", "serial", "serial4", "smallserial", "serial2"})


def _is_small(operation: Operation, _context: Context) -> bool:
    return "primary_key" in operation.marks and operation.detail in _SMALL


RULE = Rule(
    name="small_key",
    level="note",
    on=frozenset({"new_column", "add_column"}),
    why="{column} is a key of type {detail}: it runs out, and widening it rewrites the table",
    fix="{column} bigint",
    applies=_is_small,
    new_relations_too=True,
)
