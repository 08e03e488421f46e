"""DETACH PARTITION without CONCURRENTLY locks the whole partitioned table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_FIRST = 140000
"""server_version_num of the first server with the concurrent form."""


def _could_be_concurrent(operation: Operation, context: Context) -> bool:
    return not operation.has("concurrently") and (context.version_num is None or context.version_num >= _FIRST)


RULE = Rule(
    name="detach_without_concurrently",
    level="refuse",
    on=frozenset({"detach_partition"}),
    why="DETACH PARTITION takes AccessExclusiveLock on {relation} and on the partition",
    fix=("ALTER TABLE {relation} DETACH PARTITION {detail} CONCURRENTLY; /* 14 and later, outside a transaction */"),
    applies=_could_be_concurrent,
)
