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
        "ALTER TABLE {relation} ADD COLUMN {definition}; /* then, each in a transaction of its own: */ ALTER "
        "TABLE {relation} ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {references} NOT VALID; "
        "ALTER TABLE {relation} VALIDATE CONSTRAINT {name};"
    ),
)
