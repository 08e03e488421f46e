"""A limit in the type can only be tightened by rewriting the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _has_a_limit(operation: Operation, _context: Context) -> bool:
    return operation.detail in ("varchar", "character varying")


RULE = Rule(
    name="varchar_limit",
    level="note",
    on=frozenset({"add_column", "new_column"}),
    why="{column} has its limit in its type: another limit is a change of type under AccessExclusiveLock",
    fix="{column} text, with ADD CONSTRAINT … CHECK (length({column}) <= n) NOT VALID and VALIDATE CONSTRAINT",
    applies=_has_a_limit,
    new_relations_too=True,
)
