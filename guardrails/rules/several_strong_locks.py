"""Strong locks on several tables in one transaction invite deadlocks."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="several_strong_locks",
    level="warn",
    on=frozenset({"second_strong_lock"}),
    why="the transaction holds a strong lock on {detail} while it waits for one on {relation}",
    fix="one table a transaction",
)
