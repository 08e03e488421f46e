"""A dropped database is gone."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_database",
    level="refuse",
    on=frozenset({"drop_database"}),
    why="DROP DATABASE {detail} cannot be undone",
    fix="take a backup, revoke CONNECT, wait, and let a person drop it by hand",
    new_relations_too=True,
)
