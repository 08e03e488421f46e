"""VALIDATE in the transaction that added the constraint keeps the strong lock during the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule
from guardrails.sql.statement import folded

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _same_transaction(operation: Operation, context: Context) -> bool:
    return any(
        other.has("not_valid") and folded(other.relation) == folded(operation.relation) for other in context.earlier
    )


RULE = Rule(
    name="validate_with_add",
    level="refuse",
    on=frozenset({"validate_constraint"}),
    why=(
        "the transaction still holds the lock of ADD CONSTRAINT on {relation} while VALIDATE CONSTRAINT reads"
        " the whole table"
    ),
    fix="COMMIT after ADD CONSTRAINT … NOT VALID, and validate in a transaction of its own",
    applies=_same_transaction,
)
