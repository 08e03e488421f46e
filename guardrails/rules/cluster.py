"""CLUSTER rewrites the table under the strongest lock."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="cluster",
    level="refuse",
    on=frozenset({"cluster"}),
    why="CLUSTER rewrites {relation} and its indexes under AccessExclusiveLock",
    fix="pg_repack with an order, or a maintenance window",
)
