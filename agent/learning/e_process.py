"""Evidence that may be looked at after every incident: the wealth of a bet against "this edit does not help".

Under the null the expected wealth never rises, so the chance that it ever reaches 1/alpha is at most alpha, whenever
one stops (Ville's inequality; Waudby-Smith and Ramdas 2024, https://doi.org/10.1093/jrsssb/qkad009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BETS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Shares of the wealth that are staked; the process is the mean over them, so none must be chosen beforehand."""


class UnusableScore(ValueError):
    """A score that is no number in its range: the edit that brought it is invalid, whatever else it did."""


@dataclass(frozen=True, slots=True)
class EProcess:
    """margin: by how much the mean difference must exceed zero to count as help, in [0, 0.25].

    log_wealth: one for each of BETS. pairs: differences taken in.
    """

    margin: float = 0.0
    log_wealth: tuple[float, ...] = (0.0,) * len(BETS)
    pairs: int = 0

    def after(self, differences: Iterable[float]) -> EProcess:
        """differences: utility of the child minus the parent's on the same incident, in [-1, 1].

        Raises UnusableScore for anything else, NaN among it.
        """
        logs, pairs = list(self.log_wealth), self.pairs
        for difference in differences:
            if not _usable(difference):
                raise UnusableScore(f"a difference of utilities lies in [-1, 1], this one is {difference!r}")
            pairs += 1
            for place, bet in enumerate(BETS):
                logs[place] += math.log1p(bet * (difference - self.margin))
        return EProcess(self.margin, tuple(logs), pairs)

    @property
    def log_value(self) -> float:
        top = max(self.log_wealth)
        return top + math.log(sum(math.exp(log - top) for log in self.log_wealth) / len(self.log_wealth))

    @property
    def value(self) -> float:
        """The e-value, capped where a float ends."""
        return math.exp(min(self.log_value, 700.0))

    def hopeless(self, alpha: float, pairs_left: int) -> bool:
        """Whether even growth at three times the pace so far would not reach 1/alpha any more.

        Stopping early without keeping costs power, never validity.
        """
        if self.pairs == 0:
            return False
        needed = -math.log(alpha) - self.log_value
        pace = max(self.log_value, 0.2) / self.pairs
        return needed > 3 * pace * pairs_left


def _usable(difference: object) -> bool:
    """It comes from another process, so its type is not to be believed."""
    return isinstance(difference, int | float) and -1.0 <= difference <= 1.0
