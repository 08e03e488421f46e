"""The pages: server-rendered, readable and approvable without JavaScript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, status
from fastapi.responses import JSONResponse, RedirectResponse, Response

from service.context import Context, Held, SomePerson
from service.pages import chart, decision, high_risk, incident, overview
from service.pages.answer import csrf_of, find, no_incident, problem, respond, to_login
from service.pages.origin import Fields, cross_site
from service.pages.template import page
from service.routes import audit_page, edit, events, login, milestones, oidc, postmortem, settings_page, skills_page
from service.routes.approvals import HTTP, clean, taken
from service.steps.approve import Ask, Declined, Taken

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from connectors.store.store import Transaction
    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)
router.include_router(login.router)
router.include_router(oidc.router)
router.include_router(settings_page.router)
router.include_router(events.router)
router.include_router(edit.router)
router.include_router(milestones.router)
router.include_router(postmortem.router)
router.include_router(audit_page.router)
router.include_router(skills_page.router)

DECIDED = {
    "approved": "Approved. The fix starts now.",
    "partially_approved": "Your approval is counted. It takes another approver before anything runs.",
    "denied": "Denied. Nothing runs.",
    "edited": "Edited. The guardrail judges it now; the new revision needs a decision of its own.",
}
"""What a page says after a decision; the address carries only the key, so it can say nothing else."""
MAX_REASON_CHARS = 1000


@router.get("/i/{key}")
def one_incident(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        values = incident.read(tx, held, found, person) if found else None
    if values is None:
        return no_incident(request, held, person)
    values["said"] = DECIDED.get(request.query_params.get("decided", ""), "")
    return respond(request, held, person, "incident", values)


@router.post("/i/{key}/decision")
def decide(request: Request, held: Held, person: SomePerson, key: str, form: Fields) -> Response:
    """One person's decision on exactly what the page showed. 303 back to the page, or what changed meanwhile."""
    if person is None:
        return to_login(request)
    if cross_site(request, held.settings.public_url) or not login.csrf_holds(request, held, form):
        return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was decided", login.OTHER_SITE)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        waiting = _approval_of(tx, found.id) if found else None
        proposal = tx.one("latest_proposal", incident=found.id) if found else None
    if found is None:
        return no_incident(request, held, person)
    ask = _ask(form, person)
    if ask is None:
        text = "The form did not name a decision, a revision and a digest."
        return problem(request, held, person, status.HTTP_400_BAD_REQUEST, "Nothing was decided", text)
    if waiting is None:
        text = f"{found.key} has no fix that waits for a decision."
        return problem(request, held, person, status.HTTP_409_CONFLICT, "Nothing was decided", text)
    owed = (
        high_risk.missing(proposal, person, form.get("target", "")) if proposal and ask.decision == "approve" else None
    )
    if owed == "target":
        text = f"Type the name of the target, {proposal['target'] if proposal else ''}, to approve this."
        return problem(
            request, held, person, status.HTTP_400_BAD_REQUEST, "Nothing was decided", text, f"/i/{found.key}"
        )
    if owed == "login":
        return RedirectResponse(f"/login?fresh=1&next=/i/{found.key}", status.HTTP_303_SEE_OTHER)
    answer = taken(held, waiting, ask)
    match answer:
        case Taken():
            return RedirectResponse(f"/i/{found.key}?decided={answer.state}", status.HTTP_303_SEE_OTHER)
        case Declined():
            return _declined(request, held, person, found.key, form, answer)


@router.get("/i/{key}/series")
def series(held: Held, person: SomePerson, key: str) -> Response:
    """What the charts draw, for the script that lets one look closer."""
    if person is None:
        return JSONResponse({"detail": "log in first"}, status.HTTP_401_UNAUTHORIZED)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        whole = incident.with_changes(tx, held, found) if found else None
    if whole is None:
        return JSONResponse({"detail": "there is no such incident"}, status.HTTP_404_NOT_FOUND)
    drawn = {"evidence": incident.evidence_drawn(whole), "verification": incident.verification_drawn(whole)}
    return JSONResponse({name: chart.points(*each) for name, each in drawn.items()})


@router.get("/i/{key}/proposals/{revision}")
def old_revision(request: Request, held: Held, person: SomePerson, key: str, revision: int) -> Response:
    """A revision of the fix as it was proposed, whatever came after it."""
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        values = incident.revision(tx, held, found, person, revision) if found else None
    if found is None:
        return no_incident(request, held, person)
    if values is None:
        text = f"{found.key} has no revision {revision} of a fix."
        code = status.HTTP_404_NOT_FOUND
        return problem(request, held, person, code, "There is no such revision", text, f"/i/{found.key}")
    return page("revision.html", person, csrf_of(request, held), **values)


@router.get("/quarantine")
def quarantine(request: Request, held: Held, person: SomePerson) -> Response:
    """Bodies that came with a right token and could not be read."""
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        rows = [
            {**row, "received_at": row["received_at"].isoformat()}
            for row in tx.all("quarantined", limit=overview.QUARANTINE_LISTED)
        ]
    return page("quarantine.html", person, csrf_of(request, held), rows=rows)


def store_away(request: Request, text: str) -> Response:  # noqa: ARG001 text may name hosts: it goes to the log only
    """503 that says so."""
    response = page("away.html", None, "", status.HTTP_503_SERVICE_UNAVAILABLE, path=request.url.path)
    response.headers["Retry-After"] = "5"
    return response


# --- Answers -----------------------------------------------------------------------------------------------------


def _declined(
    request: Request, held: Context, person: Person, key: str, form: dict[str, str], answer: Declined
) -> HTMLResponse:
    changed = decision.difference(form, answer.current) if answer.kind == "conflict" else ()
    return page(
        "declined.html", person, csrf_of(request, held), HTTP[answer.kind], key=key, answer=answer, changed=changed
    )


# --- What a request carries --------------------------------------------------------------------------------------


def _approval_of(tx: Transaction, incident: int) -> str | None:
    """Of the newest proposal: a decision on an older one is told what changed."""
    proposal = tx.one("latest_proposal", incident=incident)
    approval = tx.one("approval_for_proposal", proposal=proposal["id"]) if proposal else None
    return str(approval["id"]) if approval else None


def _ask(form: dict[str, str], person: Person) -> Ask | None:
    """None: the form is not one of ours."""
    revision, digest = form.get("revision", ""), form.get("digest", "")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", revision) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        return None
    reason = clean(form.get("reason", ""))[:MAX_REASON_CHARS]
    match form.get("decision"):
        case "approve":
            return Ask("approve", int(revision), digest, person.name, "dashboard", reason)
        case "deny":
            return Ask("deny", int(revision), digest, person.name, "dashboard", reason)
        case _:
            return None
