"""What each operator could do about a cluster of mistakes, read off what the train incidents answered.

Every function yields ideas; which one is made into an edit is propose.py's to say.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from agent.brain.parameters import RANGES
from agent.learning.apply import ALL_SKILLS, GENERIC
from agent.learning.failures import Cluster, Trajectory, figure_name, nested
from agent.learning.tree import DIAGNOSIS, LESSONS, document
from agent.replay.case import MECHANISMS, question
from agent.runbook.skill import NONE_OF_THESE, UNRELATED, strengths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from agent.runbook.skill import Check, Skill

ENOUGH = 5
"""Verified incidents of a cause before anything is read off its answers."""
SMOOTHING = 0.5

STEPS: Mapping[str, tuple[float, ...]] = {
    "posterior": (-0.1, -0.05, 0.05, 0.1),
    "margin": (-0.15, -0.1, 0.1, 0.15),
    "min_checks": (-1, 1),
    "max_checks": (-2, -1, 1, 2, 4),
    "min_disconfirming": (-1, 1),
}


@dataclass(frozen=True, slots=True)
class Idea:
    """A change without its provenance. worth: how much it promises, comparable within one operator only."""

    args: Mapping[str, Any]
    hypothesis: str
    worth: float
    skill: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a proposer may look at. catalogue: questions that can be asked."""

    tree: Mapping[str, str]
    skills: Mapping[str, Skill]
    trajectories: Sequence[Trajectory]
    catalogue: Collection[str]


# --- What the answers say ----------------------------------------------------------------------------------------


def _own(seen: Seen, skill: str) -> list[Trajectory]:
    return [one for one in seen.trajectories if one.skill == skill]


def _label(one: Trajectory, skill: Skill) -> str:
    return one.mechanism if one.mechanism in skill.causes else NONE_OF_THESE


def _rates(rows: Sequence[Trajectory], skill: Skill, asked: Check | str) -> dict[str, tuple[int, int]]:
    """(yes, answered) by cause. asked: a check of the skill, or a question that it does not ask yet."""
    found: dict[str, tuple[int, int]] = {}
    for one in rows:
        status = one.answers.get(asked, ("", 0.0))[0] if isinstance(asked, str) else one.status(asked)
        if status in {"yes", "no"}:
            yes, n = found.get(_label(one, skill), (0, 0))
            found[_label(one, skill)] = (yes + (status == "yes"), n + 1)
    return found


def _word(rate: float) -> str:
    """The word whose probability is nearest, in log odds, to a rate."""
    if rate >= 0.76:  # noqa: PLR2004 between strong and weak
        return "strong"
    if rate >= 0.33:  # noqa: PLR2004 between weak and unrelated
        return "weak"
    return "against" if rate <= 0.085 else UNRELATED  # noqa: PLR2004 between unrelated and against


def _smoothed(yes: int, n: int) -> float:
    return (yes + SMOOTHING) / (n + 2 * SMOOTHING)


def _gain(rate: float, n: int, now: float, new: float) -> float:
    """Log likelihood that the answers gain by another probability."""
    return n * (rate * math.log(new / now) + (1 - rate) * math.log((1 - new) / (1 - now)))


def _information(rows: Sequence[Trajectory], skill: Skill, asked: Check | str) -> float:
    """Mutual information of the answer and the cause, in bits, as counted."""
    rates = _rates(rows, skill, asked)
    total = sum(n for _, n in rates.values())
    if not total:
        return 0.0
    yes_all = sum(yes for yes, _ in rates.values()) / total
    given = sum(n / total * _bits(yes / n) for yes, n in rates.values() if n)
    return max(0.0, _bits(yes_all) - given)


def _bits(p: float) -> float:
    return 0.0 if p in {0.0, 1.0} else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


# --- Ideas, one function an operator -----------------------------------------------------------------------------


def _links(seen: Seen, cluster: Cluster, *, present: bool) -> Iterator[Idea]:
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    chances = strengths(skill.parameters)
    holders = _holders(seen, skill)
    for check in skill.checks.values():
        if check.gathers:
            continue
        for cause, (yes, n) in _rates(rows, skill, check).items():
            now, rate = check.supports.get(cause, check.otherwise), _smoothed(yes, n)
            word = _word(rate)
            holder, linked = _holder(holders, check.id, cause)
            if n < ENOUGH or word == now or linked != present:
                continue
            gain = _gain(rate, n, chances[now], chances[word])
            if gain > 0:
                yield Idea(
                    {"check": check.id, "cause": cause, "strength": word},
                    f"{check.id} says yes in {yes} of {n} incidents of {cause}: {word}, not {now}",
                    gain,
                    holder,
                )


def _holders(seen: Seen, skill: Skill) -> list[tuple[str, Any]]:
    """The skill's own file and those it is composed with, in the order in which their words count."""
    return [(name, _body(seen, name)) for name in (skill.name, *skill.composed_with)]


def _holder(holders: Sequence[tuple[str, Any]], check: str, cause: str) -> tuple[str, bool]:
    """Whose file says what the check says about the cause, and whether it names it."""
    first = ""
    for name, body in holders:
        row = next((row for row in body["checks"] if row["id"] == check), None)
        if row is None:
            continue
        first = first or name
        if cause in row.get("supports", {}) or cause in body["causes"]:
            return name, cause in row.get("supports", {})
    return first, False


def _declared(seen: Seen, skill: Skill, cause: str) -> tuple[str, Any]:
    """Whose file declares the cause, and how: the first of the holders counts."""
    found = ((name, body["causes"][cause]) for name, body in _holders(seen, skill) if cause in body["causes"])
    return next(found)


def _set_support_strength(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    return _links(seen, cluster, present=True)


def _add_cause_link(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    return _links(seen, cluster, present=False)


def _add_check(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    asked = {question(check) for check in skill.checks.values()}
    for new in sorted(set(seen.catalogue) - asked):
        tool, _, query = new.partition(":")
        rates = _rates(rows, skill, new)
        supports = {
            cause: word
            for cause, (yes, n) in sorted(rates.items())
            if n >= ENOUGH and (word := _word(_smoothed(yes, n))) != UNRELATED
        }
        information = _information(rows, skill, new)
        if not supports or information < 0.02 or query in skill.checks:  # noqa: PLR2004 bits; below it is noise
            continue
        cost_s = round(max(0.05, median(one.answers[new][1] for one in rows if new in one.answers)), 2)
        check = {"id": query, "tool": tool, "query": query, "cost_s": cost_s, "supports": supports}
        yield Idea(
            {"check": check}, f"{new} tells the causes of {skill.name} apart ({information:.2f} bits)", information
        )


def _drop_check(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    needed = {need for check in skill.checks.values() for need in check.needs}
    for check in skill.checks.values():
        information = _information(rows, skill, check)
        if check.id not in needed and not check.gathers and information < 0.1:  # noqa: PLR2004 bits
            yield Idea(
                {"check": check.id},
                f"{check.id} brings {information:.2f} bits about the causes of {skill.name}",
                (0.1 - information) * check.cost_s,
                _holder(_holders(seen, skill), check.id, "")[0],
            )


def _reorder_first(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    free = [check for check in skill.checks.values() if not check.needs]
    rate = {check.id: _information(rows, skill, check) / check.cost_s for check in free}
    best = sorted(rate, key=lambda name: (-rate[name], name))
    gathering = [name for name in skill.first if skill.checks[name].gathers]
    for size in (1, 2, 3, 4):
        for start in ([], gathering):
            first = [*start, *(name for name in best if name not in start)][: max(size, len(start))]
            if first and tuple(first) != skill.first:
                yield Idea({"first": first}, f"{', '.join(first)} tell most per second at the start", 1.0 / size)


def _set_stop(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    """Later where it concluded wrongly, sooner where it gave up or was slow."""
    stop = seen.skills[cluster.skill].stop
    careful = cluster.kind in {"early_stop", "wrong_fix", "wrong_route", "gap", "wrong_component"}
    for field, steps in STEPS.items():
        now = getattr(stop, field)
        for step in steps:
            later = (step > 0) == careful
            if field == "max_checks" and cluster.kind == "gave_up":
                later = step > 0
            value = round(now + step, 3)
            if later and _usable(field, value):
                yield Idea(
                    {"field": field, "value": value},
                    f"{cluster.kind.replace('_', ' ')}: {field} {value} instead of {now}",
                    1.0 / (1 + abs(step)),
                )


def _usable(field: str, value: float) -> bool:
    low, high = {"posterior": (0.5, 0.98), "margin": (0.0, 0.9), "min_disconfirming": (0, 5)}.get(field, (1, 20))
    return low <= value <= high


def _set_threshold(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    """Where the figure parts the causes the check stands for from the others best (Youden's J)."""
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    for check in skill.checks.values():
        if check.predicate is None:
            continue
        told = [(one.figures[figure_name(check)], check.yes_given[_label(one, skill)] > skill.parameters.unrelated)
                for one in rows if figure_name(check) in one.figures]  # fmt: skip
        positive = sum(stands for _, stands in told)
        if min(positive, len(told) - positive) < ENOUGH:
            continue
        low, high = check.predicate.bounds
        values = sorted({figure for figure, _ in told})
        for below, above in pairwise(values):
            threshold = round((below + above) / 2, 6)
            if low <= threshold <= high and threshold != check.predicate.threshold:
                moved = replace(check.predicate, threshold=threshold)
                said = [moved.status("no", nested(moved.field, figure)) == "yes" for figure, _ in told]
                hits = sum(yes for yes, (_, stands) in zip(said, told, strict=True) if stands) / positive
                alarms = (sum(said) - hits * positive) / (len(told) - positive)
                why = f"{check.id} parts its causes from others at {threshold:g}"
                holder, _ = _holder(_holders(seen, skill), check.id, "")
                yield Idea({"check": check.id, "threshold": threshold}, why, hits - alarms, holder)


def _set_prior(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    """Moved halfway, in log odds, towards how often the cause was confirmed."""
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    counted, priors = Counter(_label(one, skill) for one in rows), skill.priors()
    for cause, prior in priors.items():
        share = (counted[cause] + 10 * prior) / (len(rows) + 10)
        new = min(0.6, max(0.02, math.sqrt(share * prior)))
        if abs(new - prior) > 0.02:  # noqa: PLR2004 a hundredth changes no decision
            # A file's priors are weights: composed with others' and only then made to sum to one.
            holder, declared = _declared(seen, skill, cause)
            written = round(min(0.9, max(0.01, float(declared["prior"]) * new / prior)), 3)
            yield Idea(
                {"cause": cause, "prior": written},
                f"{counted[cause]} of {len(rows)} incidents of {skill.name} were {cause}",
                abs(math.log(new / prior)),
                holder,
            )


def _add_cause(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill, rows = seen.skills[cluster.skill], _own(seen, cluster.skill)
    for mechanism in sorted({one.mechanism for one in rows} - set(skill.causes)):
        own = [one for one in rows if one.mechanism == mechanism]
        links = {}
        for check in skill.checks.values():
            said = [one.status(check) for one in own]
            yes, n = said.count("yes"), said.count("yes") + said.count("no")
            if not check.gathers and n >= ENOUGH and (word := _word(_smoothed(yes, n))) != UNRELATED:
                links[check.id] = word
        if mechanism in MECHANISMS and len(own) >= ENOUGH and {"strong", "weak"} & set(links.values()):
            args = {
                "cause": mechanism,
                "prior": round(min(0.3, max(0.05, len(own) / len(rows))), 3),
                "component": _component(own),
                "links": dict(sorted(links.items())),
            }
            yield Idea(args, f"{len(own)} of {len(rows)} incidents of {skill.name} were {mechanism}", len(own))


def _component(rows: Sequence[Trajectory]) -> str:
    right = {
        "target": sum(one.component == one.target for one in rows),
        "service": sum(one.component == one.origin for one in rows),
        "ranked": sum(one.component == one.ranked for one in rows),
    }
    return max(right, key=lambda word: (right[word], word))


def _drop_cause(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill = seen.skills[cluster.skill]
    said = Counter(one.cause for one in cluster.trajectories)
    for cause in skill.causes:
        true = sum(one.mechanism == cause for one in _own(seen, cluster.skill))
        if cause != NONE_OF_THESE and said[cause] > true and skill.remedy(cause) is None:
            why = f"{cause} was said {said[cause]} times and true {true} times"
            yield Idea({"cause": cause}, why, said[cause] - true, _declared(seen, skill, cause)[0])


def _set_component(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill = seen.skills[cluster.skill]
    for cause in skill.causes:
        rows = [one for one in _own(seen, cluster.skill) if one.mechanism == cause]
        best = _component(rows) if len(rows) >= ENOUGH else skill.causes[cause].component
        if best != skill.causes[cause].component:
            why = f"{cause} lies in the {best} most often"
            yield Idea({"cause": cause, "component": best}, why, len(rows), _declared(seen, skill, cause)[0])


def _narrow_match(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    match = _body(seen, cluster.skill).get("match") or {}
    rows = match.get("any") or []
    for row in rows:
        if len(rows) > 1:
            yield Idea({"drop": row}, f"{row['label']} alone does not tell that {cluster.skill} fits", 1.0)
    bar = float(match.get("at_least", 1.0))
    for step in (0.5, 1.0):
        if rows:
            yield Idea({"at_least": bar + step}, f"{cluster.skill} fits too easily", 0.5 / step)


def _widen_match(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    """To the skill that knows the cause, by the alert's name."""
    wanted = Counter(
        (name, one.labels.get("alertname", ""))
        for one in cluster.trajectories
        for name, skill in seen.skills.items()
        if one.mechanism in skill.causes and name not in {cluster.skill, GENERIC}
    )
    for (name, alert), n in wanted.items():
        if alert and alert.isidentifier():
            row = {"label": "alertname", "matches": alert, "weight": 2.0}
            yield Idea(
                {"add": row}, f"{name} knows the cause of {n} incidents that {cluster.skill} took", n, skill=name
            )


def _set_brain_param(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    now = seen.skills[cluster.skill].parameters
    for name, (low, high) in RANGES.items():
        value = getattr(now, name)
        for factor in (0.5, 0.75, 1.25, 1.5, 2.0):
            new = round(value * factor, 3) if name != "side_by_side" else value + (1 if factor > 1 else -1)
            if low <= new <= high and new != value:
                for where in (ALL_SKILLS, cluster.skill):
                    yield Idea({"name": name, "value": new}, f"{name} {new} instead of {value}", abs(factor - 1), where)


def _set_remediation_rank(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    skill = seen.skills[cluster.skill]
    for cause in skill.causes:
        names = [fix.id for fix in skill.remediations if fix.cause == cause]
        for name in names[1:]:
            order = [name, *(other for other in names if other != name)]
            yield Idea({"cause": cause, "order": order}, f"{name} first for {cause}", 1.0)


def _expire_lesson(seen: Seen, cluster: Cluster) -> Iterator[Idea]:
    lessons = document(seen.tree.get(f"{cluster.skill}/{LESSONS}", "lessons: []")) or {}
    for row in lessons.get("lessons", []):
        yield Idea({"lesson": row["id"]}, f"what {row['id']} says may hold no longer", 1.0)


IDEAS: Mapping[str, Callable[[Seen, Cluster], Iterator[Idea]]] = {
    "set_support_strength": _set_support_strength,
    "add_cause_link": _add_cause_link,
    "add_check": _add_check,
    "drop_check": _drop_check,
    "reorder_first": _reorder_first,
    "set_stop": _set_stop,
    "set_threshold": _set_threshold,
    "set_prior": _set_prior,
    "add_cause": _add_cause,
    "drop_cause": _drop_cause,
    "set_component": _set_component,
    "narrow_match": _narrow_match,
    "widen_match": _widen_match,
    "set_brain_param": _set_brain_param,
    "set_remediation_rank": _set_remediation_rank,
    "expire_lesson": _expire_lesson,
}


def _body(seen: Seen, skill: str) -> Any:
    return document(seen.tree[f"{skill}/{DIAGNOSIS}"])
