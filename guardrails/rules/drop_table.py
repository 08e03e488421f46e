"""A dropped table is gone, and tables with foreign keys to or from it are locked too."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_table",
    level="refuse",
    on=frozenset({"drop_table", "drop_foreign_table"}),
    why=(
        "DROP TABLE {relation} cannot be undone; it also takes AccessExclusiveLock on tables at the other end"
        " of its foreign keys"
    ),
    fix="rename it first and wait; drop its foreign keys one by one with a lock_timeout; take a backup; then drop it",
)
