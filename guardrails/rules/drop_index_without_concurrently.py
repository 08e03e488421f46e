"""DROP INDEX locks the table against reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _locks_the_table(operation: Operation, _context: Context) -> bool:
    return not operation.has("concurrently")


RULE = Rule(
    name="drop_index_without_concurrently",
    level="refuse",
    on=frozenset({"drop_index"}),
    why=(
        "DROP INDEX takes AccessExclusiveLock on the index and on its table, and everybody queues behind it "
        "while it waits"
    ),
    fix="DROP INDEX CONCURRENTLY {relation}; /* outside a transaction */",
    applies=_locks_the_table,
)
