"""REPLICA IDENTITY takes the strongest lock and can make the WAL much larger."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="replica_identity",
    level="warn",
    on=frozenset({"replica_identity"}),
    why="{relation} is locked AccessExclusiveLock; FULL writes every old row into the WAL",
    fix="USING INDEX a unique index on NOT NULL columns, with a lock_timeout",
)
