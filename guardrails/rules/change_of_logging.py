"""SET LOGGED and SET UNLOGGED rewrite the table; an unlogged table is emptied by a crash."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="change_of_logging",
    level="refuse",
    on=frozenset({"set_unlogged", "set_logged"}),
    why=(
        "the change rewrites {relation} under AccessExclusiveLock; UNLOGGED data is lost in a crash and "
        "missing on standbys"
    ),
    fix="make a new table of the other kind, copy in batches, and swap",
)
