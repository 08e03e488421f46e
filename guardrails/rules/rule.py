"""What a rule is: the operations it looks at, when it objects, why, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guardrails.sql.statement import Operation, Statement, folded
from guardrails.sql.wording import written
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


class _Names(dict[str, str]):
    """What a text may repeat; an ellipsis for a part the statement does not have."""

    def __missing__(self, _key: str) -> str:
        return "…"


def _always(_operation: Operation, _context: Context) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """why and fix may repeat {relation}, {column}, {detail} and the parts of the operation as they were written.

    A fix that is SQL can be run as it stands; what it cannot say in SQL is in comments.

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
        names = _Names(
            relation=operation.relation,
            column=operation.column or "the_column",
            detail=operation.detail or "the_name",
        )
        names.update({key: part if isinstance(part, str) else written(part) for key, part in operation.parts})
        return Finding(self.name, self.level, self.why.format_map(names), self.fix.format_map(names))
