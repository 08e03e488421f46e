"""What a function of users locks or changes is not in the text."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="unknown_call",
    level="note",
    on=frozenset({"call_unknown"}),
    why="{detail}() is not one of PostgreSQL's own functions: it may lock or change anything",
    fix="read its source, or write its statements here",
    new_relations_too=True,
)
