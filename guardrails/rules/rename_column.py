"""Running code still uses the old name of the column."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="rename_column",
    level="refuse",
    on=frozenset({"rename_column"}),
    why="from the rename on, every running statement that names {column} fails",
    fix="add a column with the new name, write both, move the readers, then drop the old one",
)
