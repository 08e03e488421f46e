"""CASCADE drops objects that the text does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _cascades(operation: Operation, _context: Context) -> bool:
    return operation.has("cascade")


RULE = Rule(
    name="drop_cascade",
    level="refuse",
    on=frozenset(
        {
            "drop_view",
            "drop_materialized_view",
            "drop_sequence",
            "drop_type",
            "drop_function",
            "drop_domain",
            "drop_extension",
            "drop_index",
            "drop_procedure",
            "drop_operator",
            "drop_server",
            "drop_language",
        }
    ),
    why="CASCADE drops everything that depends on it, and locks tables that are not named here",
    fix="drop the dependents by name first, then the object without CASCADE",
    applies=_cascades,
)
