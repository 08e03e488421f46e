"""LOCK TABLE stops writers, or everybody, for the rest of the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule
from guardrails.sql.lock import Mode

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_BLOCKING = frozenset(mode.spelling for mode in Mode if mode.blocks_writes)


def _blocks_writers(operation: Operation, _context: Context) -> bool:
    return operation.detail in _BLOCKING


RULE = Rule(
    name="lock_table",
    level="refuse",
    on=frozenset({"lock"}),
    why="{relation} is locked {detail} until the transaction ends",
    fix="lock single rows with SELECT … FOR UPDATE, or use an advisory lock",
    applies=_blocks_writers,
)
