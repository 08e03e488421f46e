"""Incidents as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from agent.events import HumanAsked, HumanClosed
from agent.incident import Incident, IncidentState
from agent.machine import IllegalTransition
from agent.memory import compress
from agent.runbook.pinned import skill_of
from connectors.store.store import Transaction, incident_from_row
from service import view
from service.context import Context, Held, KnownPerson, require
from service.pages.similar import remembered
from service.steps import remember

router = APIRouter(prefix="/api/v1", tags=["incidents"])

Key = Annotated[str, Path(pattern=r"^INC-[1-9][0-9]{0,17}$", examples=["INC-1"])]


def find(tx: Transaction, key: str, *, lock: bool = False) -> Incident:
    """Raises 404."""
    incident = tx.incident(int(key.removeprefix("INC-")), lock=lock)
    if incident is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no {key}")
    return incident


def titles(held: Context, incident: Incident) -> dict[str, str]:
    skill = skill_of(held.ports.skills, incident)
    return {name: cause.title for name, cause in skill.causes.items()} if skill else {}


@router.get("/incidents")
def incidents(
    held: Held,
    person: KnownPerson,  # noqa: ARG001 its presence is the check
    state: Annotated[list[IncidentState] | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Newest first. before: only incidents with a smaller number."""
    with held.ports.store.transaction() as tx:
        rows = tx.all("incidents", states=state, before=before, limit=limit)
    return {"incidents": [view.brief(incident_from_row(row), row["updated_at"]) for row in rows]}


@router.get("/incidents/{key}")
def incident(held: Held, person: KnownPerson, key: Key) -> dict[str, Any]:  # noqa: ARG001
    """One incident whole: state, outcome, causes, proposal, milestones, timeline, postmortem, similar incidents."""
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        whole = view.whole(tx, found, held.ports.configuration, titles(held, found))
        return whole | {"similar": remembered(tx, held.ports, found)}


@router.get("/incidents/{key}/evidence")
def evidence(held: Held, person: KnownPerson, key: Key) -> dict[str, Any]:  # noqa: ARG001
    """Every piece of evidence with its data and the SHA-256 of its bytes."""
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        return {"evidence": [view.evidence_whole(row) for row in tx.all("evidence", incident=found.id)]}


@router.get("/incidents/{key}/context")
def context(held: Held, person: KnownPerson, key: Key) -> dict[str, Any]:  # noqa: ARG001
    """What a reader of limited attention, such as a model, is to be given: the contract and the typed state whole, the
    last results whole, older ones by their figures. Nothing in it is an instruction.
    """
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        skill = skill_of(held.ports.skills, found)
        if skill is None:
            raise HTTPException(status.HTTP_409_CONFLICT, f"{key} has no skill that can be read, so no context either")
        results = remember.results(tx, found, skill)
    return compress.compress(compress.contract(found, skill), found.working.as_data(), results).as_data()


@router.get("/lessons")
def all_lessons(held: Held, person: KnownPerson) -> dict[str, Any]:  # noqa: ARG001
    """What verified incidents taught about fixes, each with who supports it, who contradicts it, and until when."""
    with held.ports.store.transaction() as tx:
        lessons = remember.read_lessons(tx.all("lessons"), tx.now())
    return {"lessons": [lesson.as_data() for lesson in lessons]}


@router.post("/lessons/{lesson}/confirm")
def confirm_lesson(
    held: Held, person: KnownPerson, lesson: Annotated[str, Path(pattern=r"^L-[0-9a-f]{12}$")]
) -> dict[str, Any]:
    """A person's word for a lesson: with it one incident is enough. 403: only who may approve may."""
    require(person, "approver")
    with held.ports.store.transaction() as tx:
        if tx.one("confirm_lesson", id=lesson, person=person.name) is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no lesson {lesson}")
        tx.audit(None, person.name, "LessonConfirmed", {"note": f"{lesson} confirmed by {person.name}"})
        known = remember.read_lessons([row for row in tx.all("lessons") if row["id"] == lesson], tx.now())
    return known[0].as_data() if known else {"id": lesson}


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=1000)


@router.post("/incidents/{key}/investigate")
def investigate(held: Held, person: KnownPerson, key: Key) -> dict[str, Any]:
    """Take another look at an incident that waits for a human."""
    require(person, "responder")
    return _apply(held, key, HumanAsked(person.name), person.name)


@router.post("/incidents/{key}/close")
def close(held: Held, person: KnownPerson, key: Key, body: Reason) -> dict[str, Any]:
    """Close an incident that waits for a human."""
    require(person, "responder")
    return _apply(held, key, HumanClosed(person.name, body.reason), person.name)


def _apply(held: Context, key: str, event: HumanAsked | HumanClosed, person: str) -> dict[str, Any]:
    with held.ports.store.transaction() as tx:
        found = find(tx, key, lock=True)
        try:
            after = held.runner.apply(tx, found, event, actor=person)
        except IllegalTransition as error:
            raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from error
    return view.brief(after)


@router.get("/quarantine")
def quarantine(held: Held, person: KnownPerson) -> dict[str, Any]:  # noqa: ARG001
    """Bodies that came with a right token and could not be read."""
    with held.ports.store.transaction() as tx:
        rows = tx.all("quarantined", limit=100)
    return {
        "quarantined": [
            {"receipt": str(row["receipt"]), "source": row["source"], "reason": row["reason"], "bytes": row["bytes"],
             "received_at": row["received_at"].isoformat()}
            for row in rows
        ]
    }  # fmt: skip
