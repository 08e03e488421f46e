"""Which lock a statement takes on which relation, by server version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.sql.lock import UNKNOWN_RELATIONS, LockTaken, Mode
from guardrails.sql.parse import one_statement, tree

if TYPE_CHECKING:
    from collections.abc import Iterable


def locks_of(sql: str) -> tuple[LockTaken, ...]:
    """The strongest lock on each relation one statement names.

    Raises:
        Unreadable: not one statement that is understood.
    """
    found = tree(one_statement(sql))
    if isinstance(found, exp.Create) and isinstance(found.this, exp.Index):
        table = found.this.args["table"]
        mode = Mode.SHARE_UPDATE_EXCLUSIVE if found.args.get("concurrently") else Mode.SHARE
        return (LockTaken(table.sql(dialect="postgres"), mode.spelling),)
    return (LockTaken(UNKNOWN_RELATIONS, Mode.ACCESS_EXCLUSIVE.spelling),)


def strongest(locks: Iterable[LockTaken]) -> tuple[LockTaken, ...]:
    """One lock a relation, the strongest, in the order of first mention."""
    modes = {mode.spelling: mode for mode in Mode}
    best: dict[str, Mode] = {}
    for lock in locks:
        best[lock.relation] = max(best.get(lock.relation, Mode.ACCESS_SHARE), modes[lock.mode])
    return tuple(LockTaken(relation, mode.spelling) for relation, mode in best.items())
