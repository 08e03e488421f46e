"""An unlogged table is emptied by a crash and missing on standbys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_unlogged(operation: Operation, _context: Context) -> bool:
    return operation.has("unlogged")


RULE = Rule(
    name="unlogged_table",
    level="warn",
    on=frozenset({"create_table"}),
    why="{relation} is UNLOGGED: a crash empties it, and no standby has it",
    fix="leave UNLOGGED out unless every row can be made again",
    applies=_is_unlogged,
    new_relations_too=True,
)
