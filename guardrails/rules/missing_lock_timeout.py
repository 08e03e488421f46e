"""Without a lock_timeout, waiting for a strong lock stops everybody behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _waits_for_ever(_operation: Operation, context: Context) -> bool:
    return not context.lock_timeout


RULE = Rule(
    name="missing_lock_timeout",
    level="warn",
    on=frozenset({"strong_lock"}),
    why="{detail} on {relation} waits as long as it takes, and all later queries of the table wait behind it",
    fix="SET lock_timeout = '500ms' first, and try again with a growing pause when it fires",
    applies=_waits_for_ever,
)
