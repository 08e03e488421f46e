"""Keep or revert: what the measured difference on fresh incidents allows. Pure; every rule of it is frozen for a run.

The order is fixed. A sequential test says whether the edit helps on average, vetoes say where it must not hurt
whatever the average says, and a simplification may stay when it changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.learning.e_process import EProcess, UnusableScore

if TYPE_CHECKING:
    from collections.abc import Mapping

CAP_PAIRS = 600
"""Fresh incidents a round may spend on one edit."""
HARM_E_VALUE = 20.0
"""The mirrored process, which bets that the edit hurts, stops the test here."""
MARGIN_PER_COMPLEXITY = 0.002
"""What every value that an edit adds must earn in utility."""
MAX_MARGIN = 0.05
HOPELESS_FROM_PAIRS = 120

ACCURACY_MARGIN = 0.02
"""Share of a stratum's incidents whose cause may newly be missed, on balance."""
EQUAL_WITHIN = 0.005
"""A simplification stays when the difference is known to be smaller than this."""


class Status(StrEnum):
    KEEP = "keep"
    REVERT = "revert"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    AWAITING_REVIEW = "awaiting_review"


class Passed(StrEnum):
    """How a sequential test ended."""

    HELPS = "helps"
    HURTS = "hurts"
    UNDECIDED = "undecided"


def margin_for(complexity_delta: int) -> float:
    """What a simplifying or neutral edit need not show, a growing one must."""
    return min(MAX_MARGIN, MARGIN_PER_COMPLEXITY * max(complexity_delta, 0))


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """Paired differences taken in block by block until the evidence is enough, the harm is, or the cap is reached."""

    alpha: float
    helps: EProcess
    hurts: EProcess = field(default_factory=EProcess)
    cap: int = CAP_PAIRS
    total: float = 0.0
    squares: float = 0.0
    crossed: bool = False

    def after(self, differences: list[float]) -> SequentialTest:
        """Raises UnusableScore. Evidence that was enough once stays enough: that is what validity at any time means."""
        test = self
        EProcess().after(differences)  # what comes after the evidence was enough must be a score, too
        for difference in differences:
            if test.crossed or test.pairs >= test.cap:
                break
            helps = test.helps.after([difference])
            test = replace(
                test,
                helps=helps,
                hurts=test.hurts.after([-difference]),
                total=test.total + difference,
                squares=test.squares + difference * difference,
                crossed=helps.log_value >= -math.log(test.alpha),
            )
        return test

    @property
    def pairs(self) -> int:
        return self.helps.pairs

    @property
    def mean(self) -> float:
        return self.total / self.pairs if self.pairs else 0.0

    @property
    def half_width(self) -> float:
        """Of the usual 95 % interval of the mean difference; infinite without two pairs."""
        if self.pairs < 2:  # noqa: PLR2004 a spread needs two
            return math.inf
        variance = max(self.squares / self.pairs - self.mean**2, 0.0)
        return 1.96 * math.sqrt(variance / (self.pairs - 1))

    @property
    def ended(self) -> Passed | None:
        """None: more pairs are wanted."""
        if self.crossed:
            return Passed.HELPS
        if self.hurts.value >= HARM_E_VALUE:
            return Passed.HURTS
        left = self.cap - self.pairs
        if left <= 0 or (self.pairs >= HOPELESS_FROM_PAIRS and self.helps.hopeless(self.alpha, left)):
            return Passed.UNDECIDED
        return None


@dataclass(frozen=True, slots=True)
class Arm:
    """One side's sums over a stratum's incidents."""

    right: int = 0
    wrong_fixes: int = 0
    harms: int = 0
    mitigate_s: float = 0.0
    asked: int = 0

    def plus(self, other: Arm) -> Arm:
        return Arm(
            self.right + other.right,
            self.wrong_fixes + other.wrong_fixes,
            self.harms + other.harms,
            self.mitigate_s + other.mitigate_s,
            self.asked + other.asked,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Both sides on the same incidents of one stratum. n: all of them; changed: those where the two sides can differ
    at all, which are the only ones that the sides count.
    """

    n: int = 0
    changed: int = 0
    parent: Arm = field(default_factory=Arm)
    child: Arm = field(default_factory=Arm)

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.n + other.n, self.changed + other.changed, self.parent.plus(other.parent), self.child.plus(other.child)
        )

    def to_data(self) -> dict[str, Any]:
        return {"n": self.n, "changed": self.changed, "parent": _arm_data(self.parent), "child": _arm_data(self.child)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Tally:
        """Raises UnusableScore for counts that cannot be."""
        tally = cls(_count(data["n"]), _count(data["changed"]), _arm(data["parent"]), _arm(data["child"]))
        most = max(max(arm.right, arm.wrong_fixes, arm.harms) for arm in (tally.parent, tally.child))
        if not most <= tally.changed <= tally.n:
            raise UnusableScore("a stratum counts more than it holds")
        return tally


ALL = "all"
"""The stratum every incident is in."""


def added(one: Mapping[str, Tally], other: Mapping[str, Tally]) -> dict[str, Tally]:
    return {name: one.get(name, Tally()).plus(other.get(name, Tally())) for name in sorted({*one, *other})}


def vetoes(tallies: Mapping[str, Tally]) -> tuple[str, ...]:
    """Where the child must not stay, whatever it gained elsewhere; sentences. Empty: nowhere."""
    found = []
    for name, tally in tallies.items():
        new_harm = tally.child.harms - tally.parent.harms
        if new_harm > 0:
            found.append(f"{name}: {new_harm} more harmful actions of {tally.n}")
        lost = tally.parent.right - tally.child.right
        if lost > max(1.0, ACCURACY_MARGIN * tally.n):
            found.append(f"{name}: the cause is missed on {lost} more of {tally.n}")
        wrong = tally.child.wrong_fixes - tally.parent.wrong_fixes
        if wrong > max(1.0, ACCURACY_MARGIN * tally.n):
            found.append(f"{name}: {wrong} more wrong fixes of {tally.n}")
    return tuple(found)


def simplification(test: SequentialTest, complexity_delta: int) -> bool:
    """Nothing measurable changed, and there is less to understand."""
    return complexity_delta < 0 and abs(test.mean) + test.half_width <= EQUAL_WITHIN


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    why: str


def verdict(test: SequentialTest, vetoed: tuple[str, ...], complexity_delta: int, *, sensitive: bool) -> Verdict:
    """What becomes of an edit whose test has ended. sensitive: a human reads it before it counts."""
    evidence = f"e-value {test.helps.value:.3g} after {test.pairs} fresh pairs, mean difference {test.mean:+.4f}"
    match test.ended:
        case Passed.HURTS:
            return Verdict(Status.REVERT, f"it hurts: {evidence}")
        case Passed.HELPS if vetoed:
            return Verdict(Status.REVERT, f"vetoed: {'; '.join(vetoed)} ({evidence})")
        case Passed.HELPS:
            return _kept(f"it helps: {evidence}", sensitive=sensitive)
        case _ if simplification(test, complexity_delta) and not vetoed:
            return _kept(f"simpler, and no different: {evidence}", sensitive=sensitive)
        case _:
            return Verdict(Status.INCONCLUSIVE, f"no evidence that it helps: {evidence}")


def _kept(why: str, *, sensitive: bool) -> Verdict:
    return Verdict(Status.AWAITING_REVIEW if sensitive else Status.KEEP, why)


def _arm_data(arm: Arm) -> dict[str, Any]:
    return {
        "right": arm.right,
        "wrong_fixes": arm.wrong_fixes,
        "harms": arm.harms,
        "mitigate_s": round(arm.mitigate_s, 6),
        "asked": arm.asked,
    }


def _arm(data: Mapping[str, Any]) -> Arm:
    seconds = data["mitigate_s"]
    if not isinstance(seconds, int | float) or not (math.isfinite(seconds) and seconds >= 0):
        raise UnusableScore("seconds to mitigate are no number")
    return Arm(
        _count(data["right"]), _count(data["wrong_fixes"]), _count(data["harms"]), float(seconds), _count(data["asked"])
    )


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnusableScore(f"{value!r:.40} is no count")
    return value
