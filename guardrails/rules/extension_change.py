"""An extension's script may do anything, with the rights of its installer."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="extension_change",
    level="warn",
    on=frozenset({"create_extension", "alter_extension", "drop_extension"}),
    why="the script of the extension {detail} runs as the role that installs it",
    fix="read the script; do it in a maintenance window with a lock_timeout",
    new_relations_too=True,
)
