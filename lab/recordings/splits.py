"""Which incidents a loop may learn from, and which it never sees. Frozen: by name alone, so nothing can be moved."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal, TypeAlias

from lab.recordings.topology import TEMPLATES

Split: TypeAlias = Literal["train", "validation", "test", "unseen"]
Side: TypeAlias = Literal["learn", "exam"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "unseen")
SHARES: tuple[tuple[Split, float], ...] = (("train", 0.5), ("validation", 0.1), ("test", 0.25), ("unseen", 0.15))
"""Half to learn from, a tenth to judge edits on, a quarter sealed, and fifteen sealed apart, that no figure but the
last is ever taken from."""


@cache
def split_of(family: str) -> Split:
    """Where a family belongs, by the hash of its name: the same on every machine and for ever.

    The templates of one mechanism and alert are shared out among the splits, so that each examines every mechanism. A
    name that is no family's goes by its hash alone.
    """
    incident, _, template = family.rpartition("/")
    incident, _, scale = incident.rpartition("/")
    template = f"{scale}/{template}"
    if template not in TEMPLATES:
        return _within((_hash(family) % 1000) / 1000)
    ranked = sorted(TEMPLATES, key=lambda one: _hash(f"{incident}/{one}"))
    return _within((ranked.index(template) + 0.5) / len(ranked))


def side_of(split: Split) -> Side:
    """The recordings a split is made from: no recording feeds both what is learnt from and what is examined on."""
    return "learn" if split in {"train", "validation"} else "exam"


def _within(place: float) -> Split:
    upper = 0.0
    for split, share in SHARES:
        upper += share
        if place < upper:
            return split
    return SHARES[-1][0]


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"stanch families 1|{name}".encode()).digest()[:8])
