"""char(n) pads with blanks that get in the way of comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_padded(operation: Operation, _context: Context) -> bool:
    return operation.detail in ("char", "character", "bpchar")


RULE = Rule(
    name="char_column",
    level="note",
    on=frozenset({"add_column", "new_column"}),
    why="{column} of type {detail} is padded with blanks to its length",
    fix="{column} text, with a CHECK on its length",
    applies=_is_padded,
    new_relations_too=True,
)
