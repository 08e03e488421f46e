"""A column of a domain with a constraint rewrites the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _may_be_a_domain(operation: Operation, _context: Context) -> bool:
    return operation.has("unknown_type")


RULE = Rule(
    name="column_of_unknown_type",
    level="note",
    on=frozenset({"add_column"}),
    why="{detail} is not one of PostgreSQL's own types: if it is a domain with a constraint, {relation} is rewritten",
    fix="use the domain's base type with a CHECK … NOT VALID, or make sure that {detail} is no such domain",
    applies=_may_be_a_domain,
)
