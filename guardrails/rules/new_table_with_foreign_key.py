"""A new table with a foreign key locks the table it points to."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="new_table_with_foreign_key",
    level="note",
    on=frozenset({"create_table_references"}),
    why=(
        "REFERENCES {detail} takes ShareRowExclusiveLock on {detail}: writes there wait for the rest of the transaction"
    ),
    fix="keep the transaction short, with a lock_timeout; or add the key afterwards with NOT VALID",
    new_relations_too=True,
)
