"""A prepared transaction that nobody finishes holds its locks for ever."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="prepared_transaction",
    level="warn",
    on=frozenset({"prepare_transaction"}),
    why="PREPARE TRANSACTION keeps locks and old rows until somebody commits or rolls it back, even over a restart",
    fix="plain COMMIT, unless a coordinator watches over it",
    new_relations_too=True,
)
