"""A transaction that is left open keeps its locks and is lost at the end."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="unfinished_transaction",
    level="refuse",
    on=frozenset({"unfinished_transaction"}),
    why="BEGIN without COMMIT: the locks stay until the session ends, and then everything is rolled back",
    fix="end the script with COMMIT",
    new_relations_too=True,
)
