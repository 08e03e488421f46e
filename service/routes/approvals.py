"""Decisions. Safety lies in the store's conditional update, not in a button that is gone."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from service.context import Context, Held, KnownPerson
from service.steps.approve import Ask, Declined, Taken, take
from service.steps.revise import Edit, revise

router = APIRouter(prefix="/api/v1", tags=["approvals"])

HTTP = {"forbidden": status.HTTP_403_FORBIDDEN, "conflict": status.HTTP_409_CONFLICT,
        "unknown": status.HTTP_404_NOT_FOUND, "unusable": status.HTTP_422_UNPROCESSABLE_CONTENT}  # fmt: skip


class Decision(BaseModel):
    """revision and digest name what the person saw; anything else than what waits now is a conflict."""

    model_config = ConfigDict(extra="ignore")

    decision: Literal["approve", "deny"]
    revision: StrictInt = Field(ge=1)
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    reason: str = Field(default="", max_length=1000)


@router.post("/approvals/{approval_id}/decision")
def decide(held: Held, person: KnownPerson, approval_id: UUID, body: Decision) -> JSONResponse:
    """Approve or deny. 403: not on the list; 409: the world moved on, with what is current; 404: no such approval."""
    ask = Ask(body.decision, body.revision, body.digest, person.name, "api", clean(body.reason))
    answer = taken(held, str(approval_id), ask)
    if isinstance(answer, Declined):
        return JSONResponse({"detail": answer.why, "current": answer.current}, HTTP[answer.kind])
    return JSONResponse(
        {"state": answer.state, "approved_by": list(answer.approved_by), "approvers_needed": answer.needed}
    )


class Revision(BaseModel):
    """The fix with other parameters: all of them, as the proposal names them; the kind of action stays."""

    model_config = ConfigDict(extra="ignore")

    revision: StrictInt = Field(ge=1)
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    params: dict[str, str | StrictInt | StrictBool | list[str]]
    reason: str = Field(default="", max_length=1000)


@router.post("/approvals/{approval_id}/revision", status_code=status.HTTP_202_ACCEPTED)
def edit(held: Held, person: KnownPerson, approval_id: UUID, body: Revision) -> JSONResponse:
    """Supersedes what waits; the guardrail judges the edited action, and it needs a decision of its own. 422: the
    parameters are no such action, and nothing has changed.
    """
    wanted = Edit(body.revision, body.digest, body.params, person.name, "api", clean(body.reason))
    answer = revise(held.runner, held.ports.configuration.rules, str(approval_id), wanted)
    if isinstance(answer, Declined):
        return JSONResponse({"detail": answer.why, "current": answer.current}, HTTP[answer.kind])
    return JSONResponse({"incident": answer.incident, "revision": answer.revision}, status.HTTP_202_ACCEPTED)


def taken(held: Context, approval_id: str, ask: Ask) -> Taken | Declined:
    return take(held.runner, held.ports.configuration.rules, held.signing_key, approval_id, ask)


def clean(text: str) -> str:
    return text.replace("\x00", "\ufffd").strip()


class Pause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)


@router.post("/pause")
def pause(held: Held, person: KnownPerson, body: Pause) -> dict[str, Any]:
    """The kill switch: nothing starts until somebody resumes. Anyone who may respond may stop."""
    if not person.may("responder") and not person.may("approver"):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"{person.name} is neither responder nor approver")
    return switch(held, person.name, paused=True, reason=clean(body.reason))


@router.post("/resume")
def resume(held: Held, person: KnownPerson) -> dict[str, Any]:
    """Only an approver lets things start again."""
    if not person.may("approver"):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"{person.name} is no approver")
    return switch(held, person.name, paused=False, reason=None)


@router.get("/control")
def control(held: Held, person: KnownPerson) -> dict[str, Any]:  # noqa: ARG001
    with held.ports.store.transaction() as tx:
        row = tx.one("control") or {}
    return {**row, "at": row["at"].isoformat()} if row else {}


def switch(held: Context, person: str, *, paused: bool, reason: str | None) -> dict[str, Any]:
    with held.ports.store.transaction() as tx:
        tx.run("set_control", paused=paused, reason=reason, person=person)
        tx.audit(None, person, "Paused" if paused else "Resumed", {"note": reason or ""})
    return {"paused": paused, "reason": reason, "person": person}
