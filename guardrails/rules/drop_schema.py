"""A dropped schema takes everything in it along."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_schema",
    level="refuse",
    on=frozenset({"drop_schema"}),
    why="DROP SCHEMA {detail} cannot be undone",
    fix="move or drop what is in it first, one object at a time",
    new_relations_too=True,
)
