"""Running code still uses the old name of the table."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="rename_table",
    level="refuse",
    on=frozenset({"rename_table", "set_schema"}),
    why="from this moment on, every running statement that names {relation} fails",
    fix=(
        "rename it and CREATE VIEW {relation} AS SELECT * FROM the new name in the same transaction, with a "
        "lock_timeout; move the code; drop the view"
    ),
)
