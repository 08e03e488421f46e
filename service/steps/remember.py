"""Memory between incidents: what a postmortem holds of the course and of what was recalled, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from agent.brain.loops import question
from agent.incident import IncidentState, Milestone
from agent.memory import lessons, similar
from agent.memory.case import PastCase, UnusablePostmortem, case_of
from agent.memory.compress import Result
from agent.memory.course import Row, found_by, told
from agent.memory.lessons import Lesson
from agent.runbook.pinned import skill_of
from connectors.store.store import jsonb
from service.steps.investigate import load_incident
from service.steps.replays import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from agent.incident import Incident
    from agent.replay.case import Case
    from agent.runbook.skill import Skill
    from connectors.store import store
    from connectors.store.store import Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

log = structlog.get_logger()

MOST_CASES = 5000
"""Lessons are counted over so many of the newest cases."""
NEAR_CASES = 200
"""So many by each of alert, service and cause are scored."""
CHANGES_BEFORE = timedelta(hours=1)


def remember(ports: Ports, *, replays: Callable[[], Sequence[Case]] = recorded) -> Handler:
    """Keeps a closed incident as a case, and counts the lessons anew over all of them. replays: incidents in which a
    lesson that has expired is tried again before it is trusted again; asked for only when one has.
    """

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        with ports.store.transaction() as tx:
            row = tx.one("postmortem", incident=incident.id)
            now = tx.now()
            expired = any(lesson.status == "to_probe" for lesson in read_lessons(tx.all("lessons"), now))
            # What the postmortem says holds; one of an earlier version is completed from the store's rows.
            post = None if row is None else {**recollected(tx, ports, incident, {}), **row["body"]}
        if post is None or incident.state is not IncidentState.CLOSED:
            return lambda _tx: None
        closed_at = incident.milestones.get(Milestone.RESOLVED, now)
        try:
            case = case_of(post, closed_at)
        except UnusablePostmortem as wrong:
            note = f"nothing is learned from this postmortem: {wrong}"
            return lambda tx: tx.audit(incident.id, "memory", "NotRemembered", {"note": note[:400]})
        against = replays() if expired else ()
        return lambda tx: _keep(tx, case, against)

    return handle


def _keep(tx: Transaction, case: PastCase, against: Sequence[Case]) -> None:
    tx.one("hold_lessons")
    tx.run(
        "save_case",
        incident=case.incident, alertname=case.alertname, service=case.service, cause=case.cause,
        expires=case.expires, body=jsonb(case.as_data()),
    )  # fmt: skip
    cases = _read_cases(tx.all("cases", limit=MOST_CASES))
    known = {lesson.id: lesson for lesson in read_lessons(tx.all("lessons"), tx.now())}
    for derived in lessons.derive(cases, known, tx.now()):
        lesson = _probed(tx, derived, against) if derived.status == "to_probe" else derived
        if lesson != known.get(lesson.id):
            tx.run("save_lesson", id=lesson.id, body=jsonb(lesson.as_data()))


def _probed(tx: Transaction, lesson: Lesson, against: Sequence[Case]) -> Lesson:
    """Trusted for another while, or retired; as it was, and not trusted, where the replays say nothing of it."""
    said = lessons.probe(lesson, against)
    after = lessons.probed(lesson, said, tx.now())
    if after != lesson:
        claim = f"{lesson.claim.action} {lesson.claim.effect.replace('_', ' ')} against {lesson.claim.cause}"
        note = f"{lesson.id}, {claim}: expired, tried in {len(against)} replays, it {said.replace('_', ' ')}"
        tx.audit(None, "memory", "LessonProbed", {"note": note[:400]})
    return after


def _read_cases(rows: Sequence[store.Row]) -> list[PastCase]:
    """A row that cannot be read, such as one of a later version, is no case."""
    found = []
    for row in rows:
        try:
            found.append(PastCase.from_data(row["body"]))
        except ValueError as wrong:
            log.warning("case not read", error=str(wrong)[:200])
    return found


def read_lessons(rows: Sequence[store.Row], now: datetime) -> list[Lesson]:
    """With what people confirmed since, and what has expired since."""
    found = []
    for row in rows:
        try:
            lesson = Lesson.from_data(row["body"])
        except ValueError as wrong:
            log.warning("lesson not read", id=row["id"], error=str(wrong)[:200])
            continue
        person = row["confirmed_by"] or lesson.confirmed_by
        found.append(lessons.confirmed(lesson, person, now) if person else lessons.aged(lesson, now))
    return found


# --- What a postmortem says beside the incident itself -----------------------------------------------------------


def recollected(tx: Transaction, ports: Ports, incident: Incident, post: dict[str, Any]) -> dict[str, Any]:
    """The structured postmortem with the course of the investigation, what was recalled, and the sibling sweep."""
    skill = skill_of(ports.skills, incident)
    rows = tx.all("evidence", incident=incident.id)
    turns = told(skill, _course_rows(rows), incident.working) if skill else ()
    conclusion = incident.working.conclusion
    target = ports.configuration.targets.get(incident.target or "")
    cause = conclusion.cause if conclusion else None
    features = features_of(tx, ports, incident)
    return {
        **post,
        "labels": dict(incident.labels),
        "refused": list(incident.working.refused),
        "environment": target.environment if target else None,
        "role": features.role,
        "changes": list(features.changes),
        "course": [turn.as_data() for turn in turns],
        "found_by": list(found_by(skill, turns, cause)) if skill and cause else [],
        "siblings": next(
            (orjson.loads(bytes(row["body"])) for row in reversed(rows) if row["name"] == "sibling_sweep"), None
        ),
        "recalled": recalled(tx, ports, incident),
    }


def _course_rows(rows: Sequence[store.Row]) -> list[Row]:
    return [
        Row(row["id"], row["name"], row["status"], row["summary"], row["sha256"], row["at"].timestamp(),
            orjson.loads(bytes(row["body"])))
        for row in rows
    ]  # fmt: skip


def results(tx: Transaction, incident: Incident, skill: Skill) -> list[Result]:
    """What the skill's checks returned, the oldest first."""
    return [
        Result(row["id"], question(skill.checks[row["name"]]), row["status"], row["summary"], row["sha256"],
               orjson.loads(bytes(row["body"])))
        for row in tx.all("evidence", incident=incident.id)
        if row["name"] in skill.checks
    ]  # fmt: skip


def features_of(tx: Transaction, ports: Ports, incident: Incident) -> similar.Features:
    """What of an incident is compared with earlier ones."""
    began = incident.milestones.get(Milestone.IMPACT_START, incident.opened_at)
    rows = tx.all("changes_between", start=began - CHANGES_BEFORE, end=began)
    services = ports.configuration.reachable(incident.service or "")
    near = [row for row in rows if row["service"] in services]
    conclusion = incident.working.conclusion
    return similar.Features(
        alertname=incident.alertname,
        service=incident.service,
        labels=dict(incident.labels),
        role=similar.role(incident.service, ports.configuration.graph),
        changes=tuple(sorted({"deploy" if row["version"] else "change" for row in near})),
        known_changes=True,
        cause=conclusion.cause if conclusion else None,
    )


def recalled(tx: Transaction, ports: Ports, incident: Incident) -> dict[str, Any]:
    """Similar incidents and trusted lessons, each with its origin's id."""
    features, now = features_of(tx, ports, incident), tx.now()
    rows = tx.all(
        "cases_near",
        incident=incident.id, alertname=features.alertname, service=features.service, cause=features.cause,
        limit=NEAR_CASES,
    )  # fmt: skip
    skill = skill_of(ports.skills, incident)
    answered = incident.working.answered.items()
    asked = {
        question(skill.checks[name])
        for name, answer in answered
        if skill and name in skill.checks and answer.status in {"yes", "no"}
    }
    found = similar.recall(features, _read_cases(rows), asked=asked, now=now, of=incident.id)
    return {**similar.tagged(found), "lessons": _lessons(tx, ports, incident, found, now)}


def _lessons(
    tx: Transaction, ports: Ports, incident: Incident, found: similar.Recalled, now: datetime
) -> list[dict[str, Any]]:
    """About the cause that is concluded, else about those that are suggested."""
    conclusion = incident.working.conclusion
    causes = [conclusion.cause] if conclusion else [one.cause for one in found.hypotheses]
    if not causes:
        return []
    known = read_lessons(tx.all("lessons_about", causes=causes), now)
    target = ports.configuration.targets.get(incident.target or "")
    fitting = lessons.relevant(known, causes=causes, environment=target.environment if target else None, now=now)
    return [{**lesson.as_data(), "origin_id": lesson.id} for lesson in fitting]
