"""How sure to be of the first cause: a probability that was right about as often as it says.

A logistic curve over five things a person would ask. Its weights were fitted on the development cases, fault-free
windows of the same systems and generated worlds together, all held to be ≥ 0 (docs/causal.md: how, and with each
system left out).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CONFIDENT = 0.7  # below this the answer abstains
_CONSTANT, _EVIDENCE, _BEYOND, _MARGIN, _COUNTED, _TARGET = -4.1, 0.4, 0.4, 3.0, 3.0, 0.6


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What speaks for the service ranked first.

    `first`, `second`: whole scores. `evidence`: the first's without what was counted; `usual`: what the loudest service
    shows in windows of normal life (median). `counted`: 0 to 1, its part of the time or errors added. `target`: how far
    the alerting series itself moved, None when there is none.
    """

    first: float
    second: float
    evidence: float
    usual: float
    counted: float
    target: float | None


def probability(seen: Circumstances) -> float:
    """That the service ranked first is the cause: 0 to 1."""
    beyond = math.log(max(seen.evidence, 0.05) / max(seen.usual, 0.2))
    margin = (seen.first - seen.second) / max(seen.first, 1.0)
    target = 1.0 if seen.target is None else min(seen.target, 2.0)
    # What was counted speaks against a service only as far as its own series and the alert moved too.
    agreed = seen.counted * min(seen.evidence, 1.5) / 1.5 * min(target, 1.0)
    x = (
        _CONSTANT
        + _EVIDENCE * min(seen.evidence, 5.0)
        + _BEYOND * beyond
        + _MARGIN * margin
        + _COUNTED * agreed
        + _TARGET * target
    )
    return 1.0 / (1.0 + math.exp(-x))
