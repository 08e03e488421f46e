"""What a rule is: the operations it looks at, when it objects, why, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guardrails.sql.statement import Operation, Statement, folded
from guardrails.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrails.verdict import Level


@dataclass(frozen=True, slots=True)
class Context:
    """Where a statement stands. version_num as server_version_num, None = not known, which counts as the newest.

    new_relations were made earlier in the same script, so nobody uses them yet. earlier are the operations of the same
    transaction. lock_timeout: the script has set one. proven are the (relation, column) that a CHECK validated earlier
    in the script keeps from being null.
    """

    statement: Statement
    version_num: int | None = None
    in_transaction: bool = False
    new_relations: frozenset[str] = frozenset()
    earlier: tuple[Operation, ...] = ()
    lock_timeout: bool = False
    proven: frozenset[tuple[str, str]] = frozenset()

    def is_new(self, relation: str) -> bool:
        return folded(relation) in self.new_relations


def _always(_operation: Operation, _context: Context) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """why and fix may repeat {relation}, {column} and {detail} of the operation as they were written.

    new_relations_too: it holds for tables of the same script as well.
    """

    name: str
    level: Level
    on: frozenset[str]
    why: str
    fix: str
    applies: Callable[[Operation, Context], bool] = field(default=_always)
    new_relations_too: bool = False

    def look(self, operation: Operation, context: Context) -> Finding | None:
        """The finding, if the rule objects to this operation."""
        if operation.name not in self.on:
            return None
        if not self.new_relations_too and context.is_new(operation.relation):
            return None
        if not self.applies(operation, context):
            return None
        names = {
            "relation": operation.relation,
            "column": operation.column or "the_column",
            "detail": operation.detail or "the_name",
        }
        return Finding(self.name, self.level, self.why.format(**names), self.fix.format(**names))
