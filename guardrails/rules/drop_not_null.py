"""Without NOT NULL, code that never expected a null meets one."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_not_null",
    level="refuse",
    on=frozenset({"drop_not_null"}),
    why="DROP NOT NULL on {column} lets nulls in that running code does not expect",
    fix="first deploy code that copes with a null in {column}; set a lock_timeout",
)
