"""SET EXPRESSION rewrites the table."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="set_expression",
    level="refuse",
    on=frozenset({"set_expression"}),
    why="SET EXPRESSION computes {column} for every row of {relation} under AccessExclusiveLock",
    fix="ADD COLUMN a new one, fill it in batches, and swap the names",
)
