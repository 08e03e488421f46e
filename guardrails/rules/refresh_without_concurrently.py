"""REFRESH MATERIALIZED VIEW without CONCURRENTLY stops its readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _stops_readers(operation: Operation, _context: Context) -> bool:
    return not operation.has("concurrently")


RULE = Rule(
    name="refresh_without_concurrently",
    level="refuse",
    on=frozenset({"refresh"}),
    why="REFRESH takes AccessExclusiveLock on {relation} until the query has run",
    fix="REFRESH MATERIALIZED VIEW CONCURRENTLY {relation}; /* needs a unique index on it */",
    applies=_stops_readers,
)
