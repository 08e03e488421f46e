"""Rights change for everybody who is or will be connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _changes_a_role(operation: Operation, _context: Context) -> bool:
    return operation.name != "grant"


RULE = Rule(
    name="role_change",
    level="warn",
    on=frozenset({"alter_role", "alter_user", "create_role", "create_user", "grant", "alter_default_privileges"}),
    why="rights or settings of roles change, and with them what the application may do",
    fix="try it with SET ROLE on a copy; say in the change who asked for it",
    applies=_changes_a_role,
    new_relations_too=True,
)
