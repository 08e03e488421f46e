"""An index built without CONCURRENTLY stops every write on its table until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _blocks_writes(operation: Operation, _context: Context) -> bool:
    return not operation.has("concurrently") and not operation.has("only")


RULE = Rule(
    name="index_without_concurrently",
    level="refuse",
    on=frozenset({"create_index"}),
    why=(
        "CREATE INDEX takes ShareLock on {relation}: every INSERT, UPDATE and DELETE waits until the whole "
        "index is built"
    ),
    fix=("CREATE {unique}INDEX CONCURRENTLY {rest}; /* outside a transaction, then look at pg_index.indisvalid */"),
    applies=_blocks_writes,
)
