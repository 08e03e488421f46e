"""BEGIN inside a transaction, or COMMIT outside one, does not do what it says."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="nested_transaction",
    level="refuse",
    on=frozenset({"nested_begin", "stray_end"}),
    why="{detail}: PostgreSQL only warns, and the transaction goes on or never was",
    fix="write each BEGIN with one COMMIT, or leave both to the migration tool",
    new_relations_too=True,
)
