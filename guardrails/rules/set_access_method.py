"""SET ACCESS METHOD rewrites the table under the strongest lock."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="set_access_method",
    level="refuse",
    on=frozenset({"set_access_method"}),
    why="SET ACCESS METHOD rewrites {relation} under AccessExclusiveLock",
    fix="make a new table with the other method, copy in batches, and swap",
)
