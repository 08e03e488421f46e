"""Running code still uses the old name of the type or value."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="rename_type",
    level="refuse",
    on=frozenset({"rename_type", "rename_enum_value"}),
    why="from the rename on, running code that names {detail} or the old value fails",
    fix="add the new type or value beside the old one, move the code, then retire the old one",
)
