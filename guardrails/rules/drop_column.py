"""A dropped column is gone, and older code that still reads it fails."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_column",
    level="refuse",
    on=frozenset({"drop_column"}),
    why="DROP COLUMN {column} cannot be undone, and running code that names it fails from that moment",
    fix="first deploy code that no longer names {column}, wait, take a backup, then drop it with a lock_timeout",
)
