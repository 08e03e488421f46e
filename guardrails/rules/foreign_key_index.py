"""Without an index on its columns a foreign key makes deletes of the other table slow."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="foreign_key_index",
    level="note",
    on=frozenset({"add_foreign_key", "add_column_references"}),
    why="each DELETE on {detail} searches {relation} for rows that point to it",
    fix="CREATE INDEX CONCURRENTLY ON {relation} ({key}); /* if there is none */",
)
