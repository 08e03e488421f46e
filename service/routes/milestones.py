"""Corrects when the impact of an incident began or ended: by a person, with a reason, in the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, status
from fastapi.responses import RedirectResponse, Response

from service.context import Context, Held, SomePerson
from service.pages import milestones
from service.pages.answer import find, no_incident, problem, to_login
from service.pages.milestones import NotThen
from service.pages.origin import Fields, cross_site
from service.routes import login
from service.routes.approvals import clean

if TYPE_CHECKING:
    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)

MOST_REASON_CHARS = 300


@router.post("/i/{key}/postmortem/milestone")
def correct(request: Request, held: Held, person: SomePerson, key: str, form: Fields) -> Response:
    """303 back to the postmortem; 409 when the incident changed meanwhile."""
    if person is None:
        return to_login(request)
    back = f"/i/{key}/postmortem"
    if cross_site(request, held.settings.public_url) or not login.csrf_holds(request, held, form):
        return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was changed", login.OTHER_SITE, back)
    if not (person.may("responder") or person.may("approver")):
        text = f"{person.name} is neither responder nor approver."
        return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was changed", text, back)
    wanted = next((one for one in milestones.WORDS if one == form.get("milestone")), None)
    reason = clean(form.get("reason", ""))[:MOST_REASON_CHARS]
    if wanted is None or not reason:
        return _no(request, held, person, "Say which time, and why it was wrong.", back)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        if found is None:
            return no_incident(request, held, person)
        try:
            at = milestones.moment(form.get("at", ""))
            saved = milestones.correct(tx, found, wanted, at, person=person.name, reason=reason)
        except NotThen as wrong:
            return _no(request, held, person, str(wrong), back)
    if not saved:
        text = "The incident changed meanwhile. Look again."
        return problem(request, held, person, status.HTTP_409_CONFLICT, "Nothing was changed", text, back)
    return RedirectResponse(f"/i/{found.key}/postmortem#times", status.HTTP_303_SEE_OTHER)


def _no(request: Request, held: Context, person: Person, text: str, back: str) -> Response:
    return problem(request, held, person, status.HTTP_400_BAD_REQUEST, "Nothing was changed", text, back)
