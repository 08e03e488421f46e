"""Similar incidents: what closed cases suggest for this one. Hypotheses with the checks that found them, never answers.

A case is weighed by how much of its fingerprint, place, change and cause it shares, how old it is and how sure its
cause was. Cases of one cause make one hypothesis; the checks that found the cause and that this incident has not made
are its missed checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from agent.memory.case import PastCase

WEIGHTS: Final[Mapping[str, float]] = {
    "alert": 3.0,
    "service": 2.0,
    "labels": 1.0,
    "role": 1.0,
    "change": 1.0,
    "cause": 2.0,
}
"""Judgement, not measurement: the alert's name says most, a place in the graph little."""
HALF_LIFE_DAYS: Final = 90.0
LEAST_SCORE: Final = 0.25
"""A case that shares less is not shown: no similar incident is a legal answer."""
CLEAR_MARGIN: Final = 0.15
"""Between the first and the second hypothesis, as a share of the first; below it neither leads."""
MOST_CASES: Final = 4
IGNORED_LABELS: Final = frozenset({"alertname", "service", "instance", "pod", "replica", "prometheus", "severity"})
"""Named elsewhere, or different for every process."""


@dataclass(frozen=True, slots=True)
class Features(Value):
    """What of an incident is compared. None: not known, so it is left out of the comparison. changes empty: there was
    none; known_changes False: nobody looked.
    """

    alertname: str
    service: str | None
    labels: Mapping[str, str]
    role: str | None
    changes: tuple[str, ...]
    known_changes: bool
    cause: str | None


@dataclass(frozen=True, slots=True)
class Recollection(Value):
    """One earlier incident. score: 0 to 1, of what could be compared, after decay. same: names of WEIGHTS it shares."""

    origin_id: str
    incident: int
    score: float
    same: tuple[str, ...]
    cause: str
    title: str
    outcome: str | None
    confirmed: str | None
    closed_at: datetime
    restore_s: float | None
    found_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hypothesis(Value):
    """A cause that earlier incidents suggest. weight: sum of their scores. missed: of found_by, what this incident has
    not asked, which must be before the hypothesis counts for anything.
    """

    cause: str
    title: str
    weight: float
    incidents: tuple[int, ...]
    found_by: tuple[str, ...]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recalled(Value):
    """margin: of the first hypothesis over the second, as a share of the first; None without one. clear: it leads."""

    incidents: tuple[Recollection, ...]
    hypotheses: tuple[Hypothesis, ...]
    margin: float | None

    @property
    def clear(self) -> bool:
        return self.margin is not None and self.margin >= CLEAR_MARGIN


def recall(
    features: Features, cases: Iterable[PastCase], *, asked: Collection[str], now: datetime, of: int | None = None
) -> Recalled:
    """asked: questions this incident has answered. of: its own number, which recalls nothing of itself."""
    seen = [
        found
        for case in cases
        if case.incident != of and now < case.expires and (found := _compared(features, case, now)) is not None
    ]
    seen.sort(key=lambda one: (-one.score, -one.incident))
    hypotheses = _hypotheses(seen, frozenset(asked))
    margin = None
    if hypotheses:
        second = hypotheses[1].weight if len(hypotheses) > 1 else 0.0
        margin = round((hypotheses[0].weight - second) / hypotheses[0].weight, 4)
    return Recalled(tuple(seen[:MOST_CASES]), hypotheses, margin)


def _compared(features: Features, case: PastCase, now: datetime) -> Recollection | None:
    """None: too little in common, or a case that names no cause."""
    if case.cause is None:
        return None
    overlap = _overlap(features, case)
    total = sum(WEIGHTS[name] for name in overlap)
    shared = sum(WEIGHTS[name] * part for name, part in overlap.items())
    age_days = max(0.0, (now - case.closed_at).total_seconds() / 86_400)
    surety = 1.0 if case.confirmed else 0.5
    score = (shared / total if total else 0.0) * 0.5 ** (age_days / HALF_LIFE_DAYS) * surety
    if score < LEAST_SCORE:
        return None
    same = tuple(name for name in WEIGHTS if overlap.get(name, 0.0) >= 0.5)  # noqa: PLR2004 more alike than not
    return Recollection(
        case.origin_id, case.incident, round(score, 4), same, case.cause, case.title, case.outcome, case.confirmed,
        case.closed_at, case.restore_s, case.found_by,
    )  # fmt: skip


def _overlap(features: Features, case: PastCase) -> dict[str, float]:
    """0 to 1 for each feature that both sides know."""
    overlap = {"alert": float(bool(features.alertname) and features.alertname == case.alertname)}
    if features.service is not None and case.service is not None:
        overlap["service"] = float(features.service == case.service)
    ours, theirs = _pairs(features.labels), _pairs(case.labels)
    if ours or theirs:
        overlap["labels"] = len(ours & theirs) / len(ours | theirs)
    if features.role is not None and case.role is not None:
        overlap["role"] = float(features.role == case.role)
    if features.known_changes and (features.changes or case.changes):
        mine, others = set(features.changes), set(case.changes)
        overlap["change"] = len(mine & others) / len(mine | others)
    if features.cause is not None:
        overlap["cause"] = float(features.cause == case.cause)
    return overlap


def _pairs(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name not in IGNORED_LABELS)


def _hypotheses(seen: list[Recollection], asked: frozenset[str]) -> tuple[Hypothesis, ...]:
    by_cause: dict[str, list[Recollection]] = {}
    for one in seen:
        by_cause.setdefault(one.cause, []).append(one)
    found = []
    for cause, alike in by_cause.items():
        checks = tuple(dict.fromkeys(question for one in alike for question in one.found_by))
        missed = tuple(question for question in checks if question not in asked)
        weight = round(sum(one.score for one in alike), 4)
        found.append(Hypothesis(cause, alike[0].title, weight, tuple(one.incident for one in alike), checks, missed))
    return tuple(sorted(found, key=lambda one: (-one.weight, one.cause)))


def tagged(recalled: Recalled) -> dict[str, Any]:
    """JSON-ready, every remembered thing with its origin's id: agent.memory.case.learnable() takes it out again."""
    ids = {one.incident: one.origin_id for one in recalled.incidents}
    return {
        "incidents": [one.as_data() for one in recalled.incidents],
        "hypotheses": [
            {**one.as_data(), "origin_id": ",".join(ids[number] for number in one.incidents if number in ids)}
            for one in recalled.hypotheses
        ],
        "margin": recalled.margin,
        "clear": recalled.clear,
    }


def role(service: str | None, graph: Iterable[tuple[str, str]]) -> str | None:
    """Place in a graph (caller, callee): entry (nobody calls it), leaf (it calls nobody), middle; None: nowhere."""
    edges = tuple(graph)
    called = any(callee == service for _, callee in edges)
    calls = any(caller == service for caller, _ in edges)
    if service is None or not (called or calls):
        return None
    return "middle" if called and calls else "leaf" if called else "entry"
