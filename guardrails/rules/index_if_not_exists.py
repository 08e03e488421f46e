"""IF NOT EXISTS passes over an index that an earlier attempt left INVALID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _skips_an_invalid_one(operation: Operation, _context: Context) -> bool:
    return operation.has("concurrently", "if_not_exists")


RULE = Rule(
    name="index_if_not_exists",
    level="warn",
    on=frozenset({"create_index"}),
    why=(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS reports success when an INVALID index of that name is there:"
        " nothing is built"
    ),
    fix=(
        "look first: SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{detail}'); if it is "
        "false, DROP INDEX CONCURRENTLY {detail}"
    ),
    applies=_skips_an_invalid_one,
)
