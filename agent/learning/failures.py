"""Where investigations of the train incidents first went wrong, so that a round works on one kind of mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agent.replay.case import question
from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.replay.case import Status
    from agent.runbook.skill import Check, Skill

Kind = Literal[
    "wrong_route", "gap", "missing_check", "check_misread", "early_stop", "gave_up", "wrong_component", "wrong_fix",
    "slow",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "wrong_route", "gap", "missing_check", "check_misread", "early_stop", "gave_up", "wrong_component", "wrong_fix",
    "slow",
)  # fmt: skip

SLOW_SHARE = 0.25
"""Of the incidents that went well, the slowest share is looked at too."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One train incident as its closed postmortem tells it. Only train incidents ever become one.

    answers: (status, seconds) by question, for every question that was recorded, asked or not. figures: what a
    threshold of a skill looks at, by figure_name. component and mechanism: as the postmortem names them, which is wrong
    now and then. ranked: whom the causal ranking put first. cause, found_component: what the agent said. right: it was
    so, in truth.
    """

    seed: int
    family: str
    origin: str
    target: str | None
    labels: Mapping[str, str]
    skill: str
    asked: tuple[str, ...]
    answers: Mapping[str, tuple[Status, float]]
    figures: Mapping[str, float]
    component: str
    mechanism: str
    ranked: str | None
    cause: str | None
    found_component: str | None
    right: bool
    acted: bool
    wrong_fix: bool
    harm: bool
    diagnose_s: float | None
    mitigate_s: float
    mitigated: bool
    utility: float

    def status(self, check: Check) -> Status:
        """What the check says here, by its own threshold where it has one; not_visible where it was not recorded."""
        said = self.answers.get(question(check), ("not_visible", 0.0))[0]
        figure = self.figures.get(figure_name(check))
        if check.predicate is None or figure is None:
            return said
        return check.predicate.status(said, nested(check.predicate.field, figure))

    @property
    def id(self) -> str:
        return f"train#{self.seed}"

    @property
    def well(self) -> bool:
        return self.right and not self.wrong_fix and not self.harm

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Trajectory:
        values = dict(data)
        values["asked"] = tuple(values["asked"])
        values["answers"] = {name: (said[0], float(said[1])) for name, said in values["answers"].items()}
        return cls(**values)


def figure_name(check: Check) -> str:
    """Empty for a check without a threshold."""
    return "" if check.predicate is None else f"{question(check)}#{'.'.join(check.predicate.field)}"


def nested(path: tuple[str, ...], figure: float) -> dict[str, Any]:
    """Data in which the path leads to the figure and to nothing else."""
    value: Any = figure
    for part in reversed(path):
        value = {part: value}
    return dict(value)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Trajectories of one skill that went wrong in one way. weight: utility lost in them together."""

    kind: Kind
    skill: str
    trajectories: tuple[Trajectory, ...]
    weight: float = field(default=0.0)

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.skill}"


def clusters(trajectories: Iterable[Trajectory], skills: Mapping[str, Skill]) -> tuple[Cluster, ...]:
    """By first divergence and skill, the heaviest first; ties by name."""
    sorted_out: dict[tuple[Kind, str], list[Trajectory]] = {}
    known = [one for one in trajectories if one.skill in skills]
    slow_from = _slow_from([one for one in known if one.well])
    for one in known:
        kind: Kind | None = divergence(one, skills)
        if kind is None and (one.diagnose_s or 0.0) >= slow_from:
            kind = "slow"
        if kind is not None:
            sorted_out.setdefault((kind, one.skill), []).append(one)
    found = [
        Cluster(kind, skill, tuple(rows), sum(_lost(row, kind) for row in rows))
        for (kind, skill), rows in sorted_out.items()
    ]
    return tuple(sorted(found, key=lambda cluster: (-cluster.weight, cluster.name)))


def divergence(one: Trajectory, skills: Mapping[str, Skill]) -> Kind | None:
    """The first step at which it left the way that leads to the cause. None: it went well."""
    if one.well:
        return None
    skill, true = skills[one.skill], one.mechanism
    if true not in skill.causes:
        elsewhere = any(true in other.causes for other in skills.values())
        return "wrong_route" if elsewhere else "gap"
    if one.cause == true:
        return "wrong_fix" if one.wrong_fix or one.harm else "wrong_component"
    if _misled(one, skill, true):
        return "check_misread"
    if not _could_see(one, skill, true):
        return "missing_check"
    return "gave_up" if one.cause in {None, NONE_OF_THESE} else "early_stop"


def _misled(one: Trajectory, skill: Skill, true: str) -> bool:
    """An answer spoke against the true cause more loudly than any spoke for it."""
    against = weighs_for = 0.0
    for name in one.asked:
        check = skill.checks.get(name)
        if check is None or check.gathers:
            continue
        status = one.status(check)
        chance = check.yes_given[true]
        if status == "yes":
            against, weighs_for = max(against, 1 - chance), max(weighs_for, chance)
        elif status == "no":
            against, weighs_for = max(against, chance), max(weighs_for, 1 - chance)
    return against >= 0.85 and against > weighs_for  # noqa: PLR2004 what `strong` and `against` words weigh


def _could_see(one: Trajectory, skill: Skill, true: str) -> bool:
    """Some check of the skill stands for the true cause and would have said yes."""
    return any(
        not check.gathers and check.yes_given[true] > skill.parameters.unrelated and one.status(check) == "yes"
        for check in skill.checks.values()
    )


def _slow_from(well: list[Trajectory]) -> float:
    times = sorted(one.diagnose_s for one in well if one.diagnose_s is not None)
    return times[int(len(times) * (1 - SLOW_SHARE))] if times else 0.0


def _lost(one: Trajectory, kind: Kind) -> float:
    """What it may bring to mend it: a slow success has seconds to gain, a failure nearly everything."""
    return 0.02 if kind == "slow" else max(0.0, 0.95 - one.utility)
