"""The server's version does not know the statement or one of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_newer(operation: Operation, context: Context) -> bool:
    since = dict(operation.parts)["since"]
    return context.version_num is not None and isinstance(since, str) and context.version_num < int(since) * 10000


RULE = Rule(
    name="newer_syntax",
    level="refuse",
    on=frozenset({"newer_syntax"}),
    why="{what} came with PostgreSQL {since}: this server answers with an error",
    fix="{instead}",
    applies=_is_newer,
    new_relations_too=True,
)
