"""Lessons: what closed cases say about a fix, as typed claims with provenance, scope and an end.

A claim is counted, never written: who supports it and who contradicts it are incidents. A fix that could not run, or
whose tool failed, says nothing against it; a lesson that nobody has met for a while is probed in replay and not
trusted until then, so that no setback is believed for ever.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from agent.memory.case import FixEffect, PastCase
    from agent.replay.case import Case

EXPIRES: Final = timedelta(days=90)
INCIDENTS_NEEDED: Final = 2
FAMILIES_NEEDED: Final = 2
PROBES_NEEDED: Final = 3
"""Replays of the mechanism before a probe says anything."""

Kind = Literal["positive", "negative", "warning"]
Effect = Literal["helps", "does_not_help", "harms", "lacks_precondition"]
FailureClass = Literal["ineffective", "harmful", "precondition_missing"]
Status = Literal["candidate", "active", "contradicted", "to_probe", "retired"]
"""candidate: too little support. to_probe: expired, not trusted. retired: a probe spoke against it."""
Probed = Literal["holds", "does_not_hold", "not_shown"]

_CLAIMED: Mapping[FixEffect, tuple[Kind, Effect, FailureClass | None]] = {
    "helped": ("positive", "helps", None),
    "ineffective": ("negative", "does_not_help", "ineffective"),
    "harmful": ("negative", "harms", "harmful"),
    "refused": ("warning", "lacks_precondition", "precondition_missing"),
}
"""transient, tool_error, not_run and unclear are not here: they teach nothing about the fix."""

_AGAINST: Mapping[Effect, frozenset[Effect]] = {
    "helps": frozenset({"does_not_help", "harms"}),
    "does_not_help": frozenset({"helps"}),
    "harms": frozenset({"helps"}),
    "lacks_precondition": frozenset({"helps"}),
}


@dataclass(frozen=True, slots=True)
class Claim(Value):
    """Against this cause this action has this effect. action "": whatever the skill would do."""

    cause: str
    action: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Scope(Value):
    """Where it was seen. environment None: of targets without one."""

    alertnames: tuple[str, ...]
    services: tuple[str, ...]
    environment: str | None


@dataclass(frozen=True, slots=True)
class Lesson(Value):
    """support, contradict: origin ids of cases, sorted. families: independent ones among the support. confidence: share
    of support, by Laplace's rule. confirmed_by: the person who did; one incident is then enough.
    """

    id: str
    kind: Kind
    claim: Claim
    scope: Scope
    support: tuple[str, ...]
    contradict: tuple[str, ...]
    families: int
    failure_class: FailureClass | None
    first_seen: datetime
    expires: datetime
    last_probe: datetime | None
    confirmed_by: str | None
    confidence: float
    status: Status

    def trusted(self, now: datetime) -> bool:
        return self.status == "active" and now < self.expires


def derive(cases: Iterable[PastCase], known: Mapping[str, Lesson], now: datetime) -> tuple[Lesson, ...]:
    """All lessons that the cases support, by id. known: as they stand, for what probes and people said of them.

    The same cases, known lessons and time give the same lessons, in whatever order the cases come.
    """
    groups: dict[tuple[str, str, str | None], dict[Effect, list[PastCase]]] = {}
    for case in cases:
        if case.cause is None or case.effect not in _CLAIMED or now >= case.expires:
            continue
        key = (case.cause, case.action or "", case.environment)
        groups.setdefault(key, {}).setdefault(_CLAIMED[case.effect][1], []).append(case)
    found = []
    for (cause, action, environment), by_effect in groups.items():
        for effect, support in by_effect.items():
            against = [case for other in _AGAINST[effect] for case in by_effect.get(other, ())]
            claim = Claim(cause, action, effect)
            found.append(_lesson(claim, environment, support, against, known.get(lesson_id(claim, environment)), now))
    return tuple(sorted(found, key=lambda lesson: lesson.id))


def lesson_id(claim: Claim, environment: str | None) -> str:
    parts = "\x1f".join((claim.cause, claim.action, claim.effect, environment or ""))
    return f"L-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"


def _lesson(
    claim: Claim,
    environment: str | None,
    support: list[PastCase],
    against: list[PastCase],
    known: Lesson | None,
    now: datetime,
) -> Lesson:
    kind, _, failure = next(row for row in _CLAIMED.values() if row[1] == claim.effect)
    last_probe = known.last_probe if known else None
    newest = max(case.closed_at for case in support)
    lesson = Lesson(
        id=lesson_id(claim, environment),
        kind=kind,
        claim=claim,
        scope=Scope(
            tuple(sorted({case.alertname for case in support})),
            tuple(sorted({case.service for case in support if case.service})),
            environment,
        ),
        support=tuple(sorted({case.origin_id for case in support})),
        contradict=tuple(sorted({case.origin_id for case in against})),
        families=len({case.family for case in support}),
        failure_class=failure,
        first_seen=min(case.closed_at for case in support),
        expires=max(newest, last_probe or newest) + EXPIRES,
        last_probe=last_probe,
        confirmed_by=known.confirmed_by if known else None,
        confidence=round((len(support) + 1) / (len(support) + len(against) + 2), 4),
        status="candidate",
    )
    retired = known is not None and known.status == "retired" and not (last_probe and newest > last_probe)
    return replace(lesson, status="retired" if retired else status_of(lesson, now))


def status_of(lesson: Lesson, now: datetime) -> Status:
    """Of a lesson that no probe has retired."""
    independent = len(lesson.support) >= INCIDENTS_NEEDED and lesson.families >= FAMILIES_NEEDED
    if not (independent or (lesson.support and lesson.confirmed_by)):
        return "candidate"
    if len(lesson.contradict) >= len(lesson.support):
        return "contradicted"
    return "to_probe" if now >= lesson.expires else "active"


def confirmed(lesson: Lesson, person: str, now: datetime) -> Lesson:
    """With a person's word for it."""
    return aged(replace(lesson, confirmed_by=person), now)


def aged(lesson: Lesson, now: datetime) -> Lesson:
    """As it stands by now: what has expired is not trusted before it was probed."""
    return lesson if lesson.status == "retired" else replace(lesson, status=status_of(lesson, now))


def probe(lesson: Lesson, cases: Collection[Case]) -> Probed:
    """What replays of the mechanism that the lesson is about say of it."""
    about = [case for case in cases if case.truth.mechanism == lesson.claim.cause and not case.truth.also]
    if len(about) < PROBES_NEEDED or lesson.claim.effect == "lacks_precondition" or not lesson.claim.action:
        return "not_shown"
    repaired = sum(1 for case in about if case.truth.action == lesson.claim.action)
    helps = repaired * 2 > len(about)
    return "holds" if helps == (lesson.claim.effect == "helps") else "does_not_hold"


def probed(lesson: Lesson, said: Probed, now: datetime) -> Lesson:
    """After a probe: trusted for another while, retired, or as it was."""
    match said:
        case "holds":
            held = replace(lesson, last_probe=now, expires=now + EXPIRES)
            return replace(held, status=status_of(held, now))
        case "does_not_hold":
            return replace(lesson, last_probe=now, status="retired")
        case "not_shown":
            return lesson


def relevant(
    lessons: Iterable[Lesson], *, causes: Collection[str], environment: str | None, now: datetime
) -> tuple[Lesson, ...]:
    """Trusted ones about these causes in this environment: the warnings first, the surest first."""
    order = {kind: number for number, kind in enumerate(("negative", "warning", "positive"))}
    fitting = [
        lesson
        for lesson in lessons
        if lesson.trusted(now) and lesson.claim.cause in causes and lesson.scope.environment == environment
    ]
    return tuple(sorted(fitting, key=lambda lesson: (order[lesson.kind], -lesson.confidence, lesson.id)))
