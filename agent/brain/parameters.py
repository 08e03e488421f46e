"""The numbers the deterministic brain thinks with, as one value: a skill may set its own, and the learning loop may
search them as it searches anything else in a skill.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGES: Mapping[str, tuple[float, float]] = {
    "worth_asking_bits": (0.0, 0.2),
    "side_by_side": (1, 6),
    "floor": (0.02, 0.2),
    "strong": (0.6, 0.99),
    "weak": (0.3, 0.8),
    "against": (0.01, 0.3),
    "unrelated": (0.02, 0.4),
}
"""Lowest and highest value of each. The floor never falls below 0.02: a skill's list of causes is never the world."""


@dataclass(frozen=True, slots=True)
class BrainParameters:
    """worth_asking_bits: a check expected to bring less is not asked. side_by_side: checks asked at once; they wait on
    the outside, not on each other, and more would ask what the first would have made needless. floor: least belief in
    none_of_these. strong, weak, against: P(check says yes | cause) for the words a skill may use; unrelated: where it
    says nothing about the pair. The defaults are judgement; verified incidents are counted beside them.
    """

    worth_asking_bits: float = 0.01
    side_by_side: int = 3
    floor: float = 0.02
    strong: float = 0.9
    weak: float = 0.55
    against: float = 0.04
    unrelated: float = 0.15

    def strength(self) -> Mapping[str, float]:
        return {"strong": self.strong, "weak": self.weak, "against": self.against}


DEFAULTS = BrainParameters()


def read_parameters(written: Mapping[str, Any] | None) -> BrainParameters:
    """From the `brain` block of a skill; what it leaves out keeps its default. Raises ValueError."""
    values: dict[str, Any] = {}
    for name, value in (written or {}).items():
        if name not in RANGES:
            raise ValueError(f"brain: {name!r} is none of {', '.join(RANGES)}")
        low, high = RANGES[name]
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"brain: {name} must lie in {low} to {high}")
        if name == "side_by_side" and number != int(number):
            raise ValueError("brain: side_by_side must be a whole number")
        values[name] = int(number) if name == "side_by_side" else number
    parameters = BrainParameters(**values)
    if not parameters.against < parameters.unrelated < parameters.weak < parameters.strong:
        raise ValueError("brain: against < unrelated < weak < strong must hold")
    return parameters


def changed_from_defaults(parameters: BrainParameters) -> dict[str, float]:
    """What a skill's `brain` block must say; empty: the block can be left out."""
    return {
        field.name: getattr(parameters, field.name)
        for field in fields(BrainParameters)
        if getattr(parameters, field.name) != getattr(DEFAULTS, field.name)
    }
