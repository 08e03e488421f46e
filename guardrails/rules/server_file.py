"""COPY to or from a file or program runs on the server itself."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="server_file",
    level="refuse",
    on=frozenset({"copy_program", "copy_file"}),
    why="COPY reaches the server's own files or starts {detail} there",
    fix="use COPY … FROM STDIN or TO STDOUT (\\copy in psql)",
    new_relations_too=True,
)
