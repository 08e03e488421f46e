"""A json column has no equality, so DISTINCT and GROUP BY fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_json(operation: Operation, _context: Context) -> bool:
    return operation.detail == "json"


RULE = Rule(
    name="json_column",
    level="warn",
    on=frozenset({"add_column", "new_column"}),
    why="json has no equality operator: SELECT DISTINCT over {relation} fails, even in code that never reads {column}",
    fix="{column} jsonb",
    applies=_is_json,
    new_relations_too=True,
)
