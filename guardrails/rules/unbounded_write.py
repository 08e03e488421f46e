"""An UPDATE or DELETE without a bound touches every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation


def _has_no_bound(operation: Operation, _context: Context) -> bool:
    return not operation.has("bounded")


RULE = Rule(
    name="unbounded_write",
    level="refuse",
    on=frozenset({"update_rows", "delete_rows"}),
    why="without a WHERE every row of {relation} is locked and written, in one transaction",
    fix="add a WHERE on an indexed column and go in batches of a few thousand rows",
    applies=_has_no_bound,
)
