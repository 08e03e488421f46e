"""Which check next, or what to conclude. Pure: beliefs and a skill in, a move out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.brain import beliefs as belief
from agent.brain import loops
from agent.incident import Conclusion
from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Working
    from agent.runbook.skill import Check, Skill


@dataclass(frozen=True, slots=True)
class Ask:
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Checks are under way whose answer matters."""


@dataclass(frozen=True, slots=True)
class Conclude:
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing stands out. why is a sentence for a human."""

    why: str


Move = Ask | Wait | Conclude | GiveUp


def next_move(skill: Skill, working: Working) -> Move:
    """The next move of an investigation.

    Concludes only after the skill's minimum of checks, among them one that could have spoken against the leader.
    """
    if working.pending:
        return Wait()
    if not working.answered:
        return Ask(skill.first)
    beliefs = working.beliefs
    leader = max(beliefs, key=lambda cause: beliefs[cause])
    telling = _telling(skill, working)
    if len(working.answered) < skill.stop.max_checks:
        challenge = _challenge(skill, working, leader)
        settled = _settled(skill, beliefs, leader, len(telling))
        if settled and challenge is not None:
            return Ask((challenge,))
        if settled:
            missing = _missing_for_remedy(skill, working, leader)
            if missing is not None:
                return Ask((missing,))
        elif not loops.no_news(skill, working):
            best = _most_telling_per_second(skill, working)
            if best:
                return Ask(best)
    return _close(skill, working, leader, len(telling))


def _close(skill: Skill, working: Working, leader: str, telling: int) -> Move:
    if _settled(skill, working.beliefs, leader, telling):
        low, high = belief.leave_one_out(skill, working.answered, leader)
        cause = skill.causes[leader]
        return Conclude(Conclusion(leader, cause.title, working.beliefs[leader], low, high, cause.component))
    unseen = sorted(name for name, answer in working.answered.items() if answer.status == "not_visible")
    best = f"{skill.causes[leader].title} at {working.beliefs[leader]:.2f}"
    hidden = f"; not visible: {', '.join(unseen)}" if unseen else ""
    stalled = f"; the last {loops.NEWS_CHECKS} told nothing new" if loops.no_news(skill, working) else ""
    return GiveUp(f"no cause stands out after {telling} telling checks (best: {best}){stalled}{hidden}")


def _telling(skill: Skill, working: Working) -> list[Check]:
    """Answered checks that moved beliefs."""
    return [
        skill.checks[name]
        for name, answer in working.answered.items()
        if name in skill.checks and not skill.checks[name].gathers and answer.status in {"yes", "no"}
    ]


def _settled(skill: Skill, beliefs: Mapping[str, float], leader: str, telling: int) -> bool:
    """none_of_these is never settled on early: giving up costs a human's time, the checks left cost seconds."""
    if leader == NONE_OF_THESE:
        return False
    second = max((p for cause, p in beliefs.items() if cause != leader), default=0.0)
    enough = beliefs[leader] >= skill.stop.posterior and beliefs[leader] - second >= skill.stop.margin
    return enough and telling >= skill.stop.min_checks


def _challenge(skill: Skill, working: Working, leader: str) -> str | None:
    """The challenger's question: the check most able to speak against the leader, while too few were asked."""

    def against(check: Check) -> float:
        return max(check.yes_given.values()) - check.yes_given[leader]

    asked = sum(1 for check in _telling(skill, working) if against(check) > 0)
    if asked >= skill.stop.min_disconfirming:
        return None
    able = [check for check in _open_checks(skill, working) if not check.gathers and against(check) > 0]
    return max(able, key=lambda check: (against(check), check.id)).id if able else None


def _missing_for_remedy(skill: Skill, working: Working, leader: str) -> str | None:
    """The check to ask next on the way to the one that names the action's parameters."""
    remedy = skill.remedy(leader)
    wanted = [remedy.params_from] if remedy else []
    askable = {check.id for check in _open_checks(skill, working)}
    while wanted:
        name = wanted.pop()
        if name in askable:
            return name
        wanted += [need for need in skill.checks[name].needs if need not in working.answered]
    return None


def _open_checks(skill: Skill, working: Working) -> list[Check]:
    """Not asked yet, and everything they need was seen."""
    seen = {name for name, answer in working.answered.items() if answer.status != "not_visible"}
    return [
        check
        for check in skill.checks.values()
        if check.id not in working.answered
        and all(need in seen for need in check.needs)
        and loops.question(check) not in working.barred_calls
    ]


def _opened(skill: Skill, working: Working, gathering: Check) -> list[Check]:
    return [
        check for check in skill.checks.values() if gathering.id in check.needs and check.id not in working.answered
    ]


def _most_telling_per_second(skill: Skill, working: Working) -> tuple[str, ...]:
    """The checks to ask side by side, best first. A gathering check counts with the best gain of what it would open."""
    rate: dict[str, float] = {}
    for check in _open_checks(skill, working):
        for candidate in _opened(skill, working, check) if check.gathers else [check]:
            gain = belief.expected_gain(skill, candidate.id, working.beliefs)
            cost_s = check.cost_s + (candidate.cost_s if check.gathers else 0.0)
            if gain >= skill.parameters.worth_asking_bits:
                rate[check.id] = max(rate.get(check.id, 0.0), gain / cost_s)
    best = sorted(rate, key=lambda name: (-rate[name], name))
    room = skill.stop.max_checks - len(working.answered)
    return tuple(best[: min(skill.parameters.side_by_side, room)])
