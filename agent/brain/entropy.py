"""How undecided something is, in bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def entropy(beliefs: Mapping[str, float]) -> float:
    """Of beliefs that sum to 1."""
    return -sum([p * math.log2(p) for p in beliefs.values() if p > 0])


def bits_of(chance: float) -> float:
    """Of a yes or no that is yes with this chance."""
    if not 0 < chance < 1:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)
