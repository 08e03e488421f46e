"""Which incidents a loop may learn from, and which it never sees. Frozen: by name alone, so nothing can be moved."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test", "unseen"]
Side: TypeAlias = Literal["learn", "exam"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "unseen")
_UPPER: tuple[tuple[int, Split], ...] = ((50, "train"), (60, "validation"), (85, "test"), (100, "unseen"))
"""Of a hundred: half to learn from, a tenth to judge edits on, a quarter sealed, and fifteen sealed whose template
(alert, scale, topology of a mechanism) nothing was ever tuned on."""


def split_of(family: str) -> Split:
    """Where a family belongs, by the hash of its name: the same on every machine and for ever."""
    place = int.from_bytes(hashlib.sha256(f"stanch families 1|{family}".encode()).digest()[:8]) % 100
    return next(split for upper, split in _UPPER if place < upper)


def side_of(split: Split) -> Side:
    """The recordings a split is made from: no recording feeds both what is learnt from and what is examined on."""
    return "learn" if split in {"train", "validation"} else "exam"
