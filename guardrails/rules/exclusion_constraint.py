"""An EXCLUDE constraint can only be added under the strongest lock."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="exclusion_constraint",
    level="refuse",
    on=frozenset({"add_exclude"}),
    why="EXCLUDE builds an index on {relation} under AccessExclusiveLock, and has neither NOT VALID nor USING INDEX",
    fix=(
        "create a new table with the constraint, copy by trigger and in batches, and swap; or add it in a "
        "maintenance window"
    ),
)
