"""OWNER TO takes the strongest lock and changes who may alter the table."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="owner_change",
    level="warn",
    on=frozenset({"owner_to"}),
    why="{relation} is locked AccessExclusiveLock and belongs to {detail} afterwards",
    fix="SET lock_timeout = '500ms'; check the grants of the old owner first",
)
