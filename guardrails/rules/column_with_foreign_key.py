"""A new column with REFERENCES locks both tables in one go."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="column_with_foreign_key",
    level="refuse",
    on=frozenset({"add_column_references"}),
    why=(
        "ADD COLUMN {column} … REFERENCES {detail} holds AccessExclusiveLock on {relation} while it waits for"
        " ShareRowExclusiveLock on {detail}"
    ),
    fix=(
        "add the column alone; then ADD CONSTRAINT … FOREIGN KEY ({column}) REFERENCES {detail} NOT VALID; "
        "then VALIDATE CONSTRAINT"
    ),
)
