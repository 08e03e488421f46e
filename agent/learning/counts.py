"""Evidence counts: how often a check said yes under a cause that a verified fix confirmed.

They move probabilities, never structure, and need no gate: conjugate counts on top of what the skill's words say. What
protects them is what may enter (postmortem_evidence.py) and how far any one origin can pull: at most a fifth of a
cell, and never alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.runbook.skill import Cause, Check, Skill

PRIOR_STRENGTH = 10.0
"""What a skill's word counts for, in verified incidents."""

ORIGIN_SHARE = 0.2
"""Of a cell's weight, the skill's word included, that one origin may hold."""

HALF_LIFE_DAYS = 180.0
"""Systems change: what was seen half a year ago counts half."""

SUREST = 0.99
"""No count makes a check infallible."""

Weights = Mapping[str, float]
"""By origin."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One verified answer. check "": the cause itself was confirmed. age_days: since the incident, at least 0."""

    cause: str
    check: str
    said_yes: bool
    origin: str
    age_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    yes: Weights = field(default_factory=dict)
    no: Weights = field(default_factory=dict)

    def origins(self) -> frozenset[str]:
        return frozenset(self.yes) | frozenset(self.no)

    def without(self, origin: str) -> Cell:
        return Cell(
            {name: w for name, w in self.yes.items() if name != origin},
            {name: w for name, w in self.no.items() if name != origin},
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Cells by cause, then check; the check "" counts how often the cause was confirmed (in `yes`)."""

    cells: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)

    def cell(self, cause: str, check: str) -> Cell:
        return self.cells.get(cause, {}).get(check, _EMPTY)

    def origins(self) -> frozenset[str]:
        return frozenset(o for row in self.cells.values() for cell in row.values() for o in cell.origins())

    def without(self, origin: str) -> Counts:
        """As if that origin had never reported: what holds only with it hangs on it alone."""
        return Counts({c: {name: cell.without(origin) for name, cell in row.items()} for c, row in self.cells.items()})

    def to_data(self) -> dict[str, Any]:
        return {
            cause: {check: {"yes": _plain(cell.yes), "no": _plain(cell.no)} for check, cell in sorted(row.items())}
            for cause, row in sorted(self.cells.items())
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> Counts:
        """Raises ValueError for a weight that is none."""
        return cls(
            {
                cause: {check: Cell(_weights(cell["yes"]), _weights(cell["no"])) for check, cell in row.items()}
                for cause, row in data.items()
            }
        )


_EMPTY = Cell()


def gathered(observations: Iterable[Observation]) -> Counts:
    """Weights decay with age. Not asked is not counted: it is missing, never a no."""
    cells: dict[str, dict[str, tuple[dict[str, float], dict[str, float]]]] = {}
    for one in observations:
        yes, no = cells.setdefault(one.cause, {}).setdefault(one.check, ({}, {}))
        side = yes if one.said_yes else no
        side[one.origin] = side.get(one.origin, 0.0) + 0.5 ** (max(one.age_days, 0.0) / HALF_LIFE_DAYS)
    return Counts({cause: {check: Cell(y, n) for check, (y, n) in row.items()} for cause, row in cells.items()})


def with_counts(skill: Skill, counts: Counts) -> Skill:
    """The skill as verified incidents correct it. none_of_these keeps its share: nothing ever confirms it."""
    return replace(
        skill,
        checks={name: _counted_check(check, counts) for name, check in skill.checks.items()},
        causes=_counted_causes(skill, counts),
    )


def _counted_check(check: Check, counts: Counts) -> Check:
    if check.gathers:
        return check
    moved = {cause: _robust(prior, counts.cell(cause, check.id)) for cause, prior in check.yes_given.items()}
    return replace(check, yes_given=moved)


def _counted_causes(skill: Skill, counts: Counts) -> dict[str, Cause]:
    """Only causes that have a fix can be confirmed by one, so counts move belief among those and take none from the
    others.
    """
    priors = skill.priors()
    fixable = [cause for cause in skill.causes if skill.remedy(cause) is not None]
    share = sum(priors[cause] for cause in fixable)
    moved = _moved_priors({cause: priors[cause] / share for cause in fixable}, counts) if share else {}
    return {
        name: replace(cause, prior=moved[name] * share if name in moved else priors[name])
        for name, cause in skill.causes.items()
    }


def _moved_priors(priors: Mapping[str, float], counts: Counts) -> dict[str, float]:
    origins = frozenset(o for cause in priors for o in counts.cell(cause, "").origins())
    cells = {cause: counts.cell(cause, "") for cause in priors}
    every = [_dirichlet(priors, cells)]
    every += [_dirichlet(priors, {c: cell.without(o) for c, cell in cells.items()}) for o in sorted(origins)]
    nearest = {cause: min((one[cause] for one in every), key=lambda p: abs(p - priors[cause])) for cause in priors}
    total = sum(nearest.values())
    return {cause: p / total for cause, p in nearest.items()}


def _dirichlet(priors: Mapping[str, float], cells: Mapping[str, Cell]) -> dict[str, float]:
    by_origin: dict[str, float] = {}
    for cell in cells.values():
        for origin, weight in cell.yes.items():
            by_origin[origin] = by_origin.get(origin, 0.0) + weight
    factor = _factors(by_origin)
    counted = {c: sum(w * factor[o] for o, w in cell.yes.items()) for c, cell in cells.items()}
    total = PRIOR_STRENGTH + sum(counted.values())
    return {cause: (PRIOR_STRENGTH * prior + counted[cause]) / total for cause, prior in priors.items()}


def _robust(prior: float, cell: Cell) -> float:
    """The estimate nearest to the skill's word among those with any one origin left out: nobody moves it alone."""
    every = [_beta(prior, cell), *(_beta(prior, cell.without(origin)) for origin in sorted(cell.origins()))]
    return min(every, key=lambda p: abs(p - prior))


def _beta(prior: float, cell: Cell) -> float:
    factor = _factors({o: cell.yes.get(o, 0.0) + cell.no.get(o, 0.0) for o in cell.origins()})
    yes = sum(weight * factor[origin] for origin, weight in cell.yes.items())
    no = sum(weight * factor[origin] for origin, weight in cell.no.items())
    p = (PRIOR_STRENGTH * prior + yes) / (PRIOR_STRENGTH + yes + no)
    return min(SUREST, max(1 - SUREST, p))


def _factors(by_origin: Weights) -> dict[str, float]:
    """What each origin's weight is scaled by, so that none holds more than its share of prior and counts together."""
    capped = dict(by_origin)
    for _ in range(len(capped) + 1):  # each pass can bring one more origin to its bound
        bound = ORIGIN_SHARE * (PRIOR_STRENGTH + sum(capped.values()))
        capped = {origin: min(by_origin[origin], bound) for origin in capped}
    return {origin: capped[origin] / weight if weight else 0.0 for origin, weight in by_origin.items()}


def _plain(weights: Weights) -> dict[str, float]:
    return {origin: round(weight, 9) for origin, weight in sorted(weights.items())}


def _weights(written: Mapping[str, Any]) -> dict[str, float]:
    weights = {str(origin): float(weight) for origin, weight in written.items()}
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ValueError("a weight is a number from 0 on")
    return weights
