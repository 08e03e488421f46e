"""A disabled trigger no longer guards the data; ALL includes foreign keys."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="disable_trigger",
    level="refuse",
    on=frozenset({"disable_trigger"}),
    why="while {detail} is disabled on {relation}, rows get in that it would have refused or changed",
    fix=(
        "leave it enabled; let the trigger function look at a setting (current_setting) if one session has to"
        " be let through"
    ),
)
