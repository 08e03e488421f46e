"""ALTER SYSTEM changes the whole server."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="alter_system",
    level="refuse",
    on=frozenset({"alter_system"}),
    why="ALTER SYSTEM {detail} reaches every database of the server, and some settings keep it from starting again",
    fix=(
        "ALTER ROLE … SET or ALTER DATABASE … SET for the one that needs it; server settings through "
        "configuration management"
    ),
    new_relations_too=True,
)
