"""Changing a column's type usually rewrites the table and all its indexes."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="column_type_change",
    level="refuse",
    on=frozenset({"alter_type"}),
    why=(
        "ALTER COLUMN {column} TYPE {detail} takes AccessExclusiveLock on {relation}; unless the old type can"
        " be kept as it is, everything is rewritten"
    ),
    fix="ADD COLUMN new_{column} {detail}; copy by trigger and in batches; swap the names in one short transaction",
)
