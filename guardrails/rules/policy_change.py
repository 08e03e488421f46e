"""A policy or rule changes under the strongest lock, and with it what queries do."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="policy_change",
    level="warn",
    on=frozenset({"create_policy", "alter_policy", "drop_policy", "create_rule", "alter_rule", "drop_rule"}),
    why="{relation} is locked AccessExclusiveLock, and its queries mean something else afterwards",
    fix="SET lock_timeout = '500ms', and try it on a copy first",
)
