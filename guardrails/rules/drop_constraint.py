"""DROP CONSTRAINT takes the strongest lock, for a foreign key on both tables."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_constraint",
    level="warn",
    on=frozenset({"drop_constraint"}),
    why=(
        "DROP CONSTRAINT {detail} takes AccessExclusiveLock on {relation}, and on the other table if it is a "
        "foreign key"
    ),
    fix="SET lock_timeout = '500ms' and try again when it fires",
)
