"""A constraint of a domain is checked under locks on every table that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _is_constrained(operation: Operation, _context: Context) -> bool:
    return operation.name == "domain_constraint" or operation.has("constraint")


RULE = Rule(
    name="domain_with_constraint",
    level="refuse",
    on=frozenset({"create_domain", "domain_constraint"}),
    why=(
        "constraints of the domain {detail} can only be changed by reading every table that uses it, which "
        "blocks writes there"
    ),
    fix="use the base type with a CHECK on the column: ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT",
    applies=_is_constrained,
    new_relations_too=True,
)
