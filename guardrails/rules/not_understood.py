"""What is not understood is refused."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="not_understood",
    level="refuse",
    on=frozenset({"not_understood"}),
    why="{detail}",
    fix="write it as one of the forms the documentation lists, or have a person look at it",
    new_relations_too=True,
)
