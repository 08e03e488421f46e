"""System catalogs can be reindexed only under locks that every session waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _of_a_catalog(operation: Operation, _context: Context) -> bool:
    return operation.has("catalog")


RULE = Rule(
    name="reindex_catalog",
    level="refuse",
    on=frozenset({"reindex"}),
    why=(
        "REINDEX of system catalogs stops every session that plans a query or opens a table until it is done, and "
        "PostgreSQL refuses CONCURRENTLY for them"
    ),
    fix="stop the applications first, then rebuild only the index that is damaged, with a lock_timeout",
    applies=_of_a_catalog,
)
