"""REINDEX without CONCURRENTLY blocks writes, and reads that would use the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _blocks(operation: Operation, _context: Context) -> bool:
    return not operation.has("concurrently") and not operation.has("catalog")  # see reindex_catalog


RULE = Rule(
    name="reindex_without_concurrently",
    level="refuse",
    on=frozenset({"reindex"}),
    why="REINDEX takes ShareLock on the table and AccessExclusiveLock on each index until it is rebuilt",
    fix="REINDEX {what}; /* 12 and later, outside a transaction */",
    applies=_blocks,
)
