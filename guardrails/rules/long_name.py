"""PostgreSQL silently cuts names after 63 bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule
from guardrails.sql.identifier import NAME_BYTES

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _names(operation: Operation) -> tuple[str, ...]:
    index = operation.detail if operation.name == "create_index" else ""
    column = operation.column if operation.name in ("add_column", "new_column") else ""
    return tuple(part for name in (operation.relation, index, column) for part in name.split("."))


def _is_cut(operation: Operation, _context: Context) -> bool:
    return any(len(part.strip('"').encode()) > NAME_BYTES for part in _names(operation))


RULE = Rule(
    name="long_name",
    level="warn",
    on=frozenset({"create_table", "create_index", "add_column", "new_column"}),
    why="a name is longer than 63 bytes and will be cut, perhaps to one that exists already",
    fix="choose a shorter name",
    applies=_is_cut,
    new_relations_too=True,
)
