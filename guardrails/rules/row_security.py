"""Switching row-level security changes at once which rows every query sees."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="row_security",
    level="refuse",
    on=frozenset({"row_security"}),
    why=(
        "row-level security of {relation} changes under AccessExclusiveLock; enabled without a fitting "
        "policy, all rows vanish for other roles"
    ),
    fix=(
        "create and test the policies first; switch it in a short transaction with a lock_timeout, together "
        "with the application's owner"
    ),
)
