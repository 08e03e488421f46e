"""A NOT NULL column without a default fails on a table with rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_VALUES = frozenset({"default", "volatile_default", "serial", "identity", "stored", "virtual"})


def _has_no_value(operation: Operation, _context: Context) -> bool:
    return operation.has("not_null") and not operation.marks & _VALUES


RULE = Rule(
    name="required_column",
    level="refuse",
    on=frozenset({"add_column"}),
    why=(
        "ADD COLUMN {column} NOT NULL without a default fails as soon as {relation} has a row, and breaks "
        "inserts of older code"
    ),
    fix=(
        "{first}/* fill it in batches, then, each in a transaction of its own: */ ALTER TABLE {relation} ADD "
        "CONSTRAINT {not_null_name} CHECK ({column} IS NOT NULL) NOT VALID; ALTER TABLE {relation} VALIDATE "
        "CONSTRAINT {not_null_name}; ALTER TABLE {relation} ALTER COLUMN {column} SET NOT NULL; ALTER TABLE "
        "{relation} DROP CONSTRAINT {not_null_name};"
    ),
    applies=_has_no_value,
)
