"""A trigger is made under a lock that stops writes."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="trigger_change",
    level="warn",
    on=frozenset({"create_trigger", "drop_trigger", "alter_trigger"}),
    why="{relation} is locked against writes while the trigger changes",
    fix="SET lock_timeout = '500ms' and try again when it fires",
)
