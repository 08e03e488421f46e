"""ATTACH PARTITION scans the new partition unless a CHECK proves its bounds."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="attach_without_check",
    level="note",
    on=frozenset({"attach_partition"}),
    why="{detail} is locked AccessExclusiveLock and scanned, unless a valid CHECK already implies the bounds",
    fix=(
        "ALTER TABLE {detail} ADD CONSTRAINT … CHECK (the bounds) NOT VALID; VALIDATE CONSTRAINT; then "
        "ATTACH; then drop the CHECK"
    ),
)
