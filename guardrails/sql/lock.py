"""PostgreSQL's eight table locks, weakest first, and which of them stand in each other's way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Mode(IntEnum):
    """A table lock; the order is the manual's (chapter "Explicit Locking"), so max() is the strongest."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def spelling(self) -> str:
        """As pg_locks.mode spells it: `AccessExclusiveLock`."""
        return _SPELLINGS[self]

    @property
    def blocks_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE on the relation wait for it."""
        return self >= Mode.SHARE

    @property
    def blocks_reads(self) -> bool:
        """Whether a plain SELECT on the relation waits for it."""
        return self is Mode.ACCESS_EXCLUSIVE


_SPELLINGS = {mode: "".join(part.capitalize() for part in mode.name.split("_")) + "Lock" for mode in Mode}
MODES = {spelling: mode for mode, spelling in _SPELLINGS.items()}
"""The mode of each spelling."""

UNKNOWN_RELATIONS = "*"
"""Stands for relations that only the catalog knows."""


@dataclass(frozen=True, slots=True)
class LockTaken:
    """The strongest lock on one relation, as named in the text; `*` bounds those only the catalog knows."""

    relation: str
    mode: str
