"""Running code still uses the old name of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _renames(operation: Operation, _context: Context) -> bool:
    return operation.has("rename")


RULE = Rule(
    name="rename_schema",
    level="refuse",
    on=frozenset({"alter_schema", "alter_database"}),
    why="from the rename on, everything that names {detail} fails",
    fix="make a new schema with views on the old tables, move the code, then move the tables",
    applies=_renames,
)
