"""Changing a composite type reaches every table that uses it."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="composite_type_change",
    level="warn",
    on=frozenset({"alter_composite_type"}),
    why="tables with columns of {detail} are looked at, and typed tables are locked AccessExclusiveLock",
    fix="make a new type and a new column, and move the data in batches",
)
