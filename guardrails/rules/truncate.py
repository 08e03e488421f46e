"""TRUNCATE deletes all rows under the strongest lock; CASCADE empties other tables too."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="truncate",
    level="refuse",
    on=frozenset({"truncate"}),
    why=(
        "TRUNCATE takes AccessExclusiveLock on {relation} and deletes every row; foreign keys carry it to "
        "other tables with CASCADE"
    ),
    fix="DELETE in batches with a WHERE; or make a new table and swap the names",
)
