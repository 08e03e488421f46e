"""CONCURRENTLY, VACUUM and others cannot run inside a transaction."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="outside_transaction",
    level="refuse",
    on=frozenset({"outside_transaction"}),
    why="{detail} is refused inside a transaction block",
    fix="give it outside BEGIN … COMMIT; in a migration tool, switch its transaction off for this file",
    new_relations_too=True,
)
