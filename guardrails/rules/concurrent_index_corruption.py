"""PostgreSQL 14.0 to 14.3 can build a corrupt index CONCURRENTLY."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_CORRUPTING = range(140000, 140004)
"""server_version_num of 14.0 to 14.3; fixed in 14.4 (release notes)."""


def _on_a_corrupting_server(operation: Operation, context: Context) -> bool:
    return operation.has("concurrently") and context.version_num in _CORRUPTING


RULE = Rule(
    name="concurrent_index_corruption",
    level="refuse",
    on=frozenset({"create_index", "reindex"}),
    why="servers 14.0 to 14.3 can leave rows out of an index built CONCURRENTLY, without any error",
    fix="upgrade to 14.4 or later first",
    applies=_on_a_corrupting_server,
)
