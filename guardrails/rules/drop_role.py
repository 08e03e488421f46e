"""A dropped role cannot log in any more, and DROP OWNED deletes its tables."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_role",
    level="refuse",
    on=frozenset({"drop_role", "drop_user", "drop_group", "drop_owned"}),
    why="dropping {detail} ends whatever logs in with it; DROP OWNED deletes every object it owns",
    fix="ALTER ROLE … NOLOGIN first, wait, REASSIGN OWNED, and let a person drop it by hand",
    new_relations_too=True,
)
