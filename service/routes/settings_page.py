"""The settings page: what is configured, the kill switch, and one's own API tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from fastapi import APIRouter, Request, status
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.context import Context, Held, SomePerson
from service.identity import Person, new_token, token_hash
from service.pages import installation
from service.pages.answer import csrf_of, problem, to_login
from service.pages.origin import Fields, cross_site
from service.pages.template import page, render, wants_fragment
from service.round_trip import Tested
from service.routes import login
from service.routes.approvals import clean, switch

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(tags=["pages"], include_in_schema=False)

MOST_TOKENS = 20
LABEL_CHARS = 100


@router.get("/settings")
def settings(request: Request, held: Held, person: SomePerson) -> Response:
    return _page(request, held, person) if person else to_login(request)


@router.post("/settings/pause")
def pause(request: Request, held: Held, person: SomePerson, form: Fields) -> Response:
    """The kill switch. Anyone who may respond may stop; a reason is asked for."""
    refused = _refused(request, held, person, form)
    if refused is not None or person is None:
        return refused or to_login(request)
    reason = clean(form.get("reason", ""))[:1000]
    if not (person.may("responder") or person.may("approver")):
        return _no(request, held, person, "Only a responder or an approver may pause.")
    if not reason:
        return problem(request, held, person, status.HTTP_400_BAD_REQUEST, "Not paused", "Say why.", "/settings")
    switch(held, person.name, paused=True, reason=reason)
    return _back()


@router.post("/settings/resume")
def resume(request: Request, held: Held, person: SomePerson, form: Fields) -> Response:
    refused = _refused(request, held, person, form)
    if refused is not None or person is None:
        return refused or to_login(request)
    if not person.may("approver"):
        return _no(request, held, person, "Only an approver lets things start again.")
    switch(held, person.name, paused=False, reason=None)
    return _back()


@router.post("/settings/test")
def send_test(request: Request, held: Held, person: SomePerson, form: Fields) -> Response:
    """Something harmless goes the whole way through one integration; what came back is on the page. Up to half a
    minute.
    """
    refused = _refused(request, held, person, form)
    if refused is not None or person is None:
        return refused or to_login(request)
    if not person.may("admin"):
        return _no(request, held, person, "Only an admin sends a test.")
    name = next((one for one in get_args(Tested) if one == form.get("name")), None)
    if name is None:
        text = "There is no test of this name."
        return problem(request, held, person, status.HTTP_400_BAD_REQUEST, "Nothing was sent", text, "/settings")
    ok, says = held.send_test(held.settings, name)
    with held.ports.store.transaction() as tx:
        tx.audit(None, person.name, "TestSent", {"name": name, "ok": ok, "note": f"test of {name}: {says}"[:500]})
    tested = {"name": name, "ok": ok, "says": says}
    if wants_fragment(request):
        return HTMLResponse(render("settings/tested.html", name=name, tested=tested))
    return _page(request, held, person, tested=tested)


@router.post("/settings/tokens")
def make_token(request: Request, held: Held, person: SomePerson, form: Fields) -> Response:
    """A personal API token with its owner's roles: shown once, kept as a hash."""
    refused = _refused(request, held, person, form)
    if refused is not None or person is None:
        return refused or to_login(request)
    label = clean(form.get("label", ""))[:LABEL_CHARS] or "no label"
    made = new_token()
    with held.ports.store.transaction() as tx:
        kept = [one for one in tx.all("api_tokens_of", person=person.name) if one["revoked_at"] is None]
        if len(kept) >= MOST_TOKENS:
            text = f"You have {MOST_TOKENS} tokens. Revoke one that you no longer use."
            return problem(request, held, person, status.HTTP_409_CONFLICT, "No token was made", text, "/settings")
        tx.one("add_api_token", person=person.name, label=label, sha256=token_hash(made))
        tx.audit(None, person.name, "TokenMade", {"note": label})
    return _page(request, held, person, made=made)


@router.post("/settings/tokens/revoke")
def revoke_token(request: Request, held: Held, person: SomePerson, form: Fields) -> Response:
    refused = _refused(request, held, person, form)
    if refused is not None or person is None:
        return refused or to_login(request)
    number = form.get("id", "")
    if re.fullmatch(r"[1-9][0-9]{0,17}", number):
        with held.ports.store.transaction() as tx:
            if tx.one("revoke_api_token", id=int(number), person=person.name):
                tx.audit(None, person.name, "TokenRevoked", {"note": f"token {number}"})
    return _back()


def _page(
    request: Request, held: Context, person: Person, *, made: str = "", tested: Mapping[str, Any] | None = None
) -> Response:
    """made: a token that was made just now; this answer is the only place where it is ever seen. tested: what came
    back from a test.
    """
    with held.ports.store.transaction() as tx:
        values = installation.read(tx, held, person)
    return page("settings.html", person, csrf_of(request, held), made=made, tested=tested, here="/settings", **values)


def _refused(request: Request, held: Context, person: Person | None, form: dict[str, str]) -> Response | None:
    """None: the form is of this person's own session."""
    if person is None:
        return to_login(request)
    if cross_site(request, held.settings.public_url) or not login.csrf_holds(request, held, form):
        return _no(request, held, person, login.OTHER_SITE)
    return None


def _no(request: Request, held: Context, person: Person, text: str) -> Response:
    return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was changed", text, "/settings")


def _back() -> Response:
    return RedirectResponse("/settings", status.HTTP_303_SEE_OTHER)
