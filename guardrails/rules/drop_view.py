"""A dropped view or sequence breaks the code that still names it."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_view",
    level="warn",
    on=frozenset({"drop_view", "drop_materialized_view", "drop_sequence"}),
    why="{relation} is locked AccessExclusiveLock and gone afterwards",
    fix="first deploy code that no longer names {relation}; set a lock_timeout",
)
