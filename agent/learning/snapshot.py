"""The counts of a window of train incidents as one edit: evidence goes through the gate too, as a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.learning.apply import ALL_SKILLS, paths_of
from agent.learning.counts import Counts, Observation, gathered
from agent.learning.edits import Edit, Prediction
from agent.learning.tree import hash_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.learning.failures import Trajectory
    from agent.runbook.skill import Skill

OPERATOR = "set_counts"


def snapshot(
    tree: Mapping[str, str], skills: Mapping[str, Skill], trajectories: Sequence[Trajectory], seed: int
) -> Edit | None:
    """None: no train incident ended with a verified fix."""
    counted = counts_of(skills, trajectories)
    if not counted:
        return None
    return Edit(
        op=OPERATOR,
        skill=ALL_SKILLS,
        before=hash_of(tree, paths_of(OPERATOR, ALL_SKILLS, tree)),
        args={"counts": {name: counts.to_data() for name, counts in sorted(counted.items())}},
        hypothesis=f"what {len(trajectories)} incidents confirmed is nearer the truth than the skills' words",
        predicted=Prediction("utility", (), 1, 0.01),
        evidence=tuple(one.id for one in trajectories if _verified(one))[:12],
        proposer="counts",
        seed=seed,
    )


def counts_of(skills: Mapping[str, Skill], trajectories: Sequence[Trajectory]) -> dict[str, Counts]:
    """By skill, from the incidents whose fix was verified, and of the checks that were asked: not asked is not no."""
    seen: dict[str, list[Observation]] = {}
    for one in trajectories:
        skill = skills.get(one.skill)
        if skill is None or not _verified(one) or one.mechanism not in skill.causes:
            continue
        rows = seen.setdefault(one.skill, [])
        rows.append(Observation(one.mechanism, "", said_yes=True, origin=one.origin))
        for name in one.asked:
            status = _status(one, skill, name)
            if status in {"yes", "no"}:
                rows.append(Observation(one.mechanism, name, said_yes=status == "yes", origin=one.origin))
    return {name: gathered(rows) for name, rows in sorted(seen.items())}


def _verified(one: Trajectory) -> bool:
    return one.acted and one.mitigated and not one.wrong_fix


def _status(one: Trajectory, skill: Skill, name: str) -> str:
    check = skill.checks.get(name)
    return "" if check is None else one.status(check)
