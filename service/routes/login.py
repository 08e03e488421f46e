"""Who is reading: a personal token becomes a session, and a session ends."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, status
from fastapi.responses import RedirectResponse, Response

from service.context import SESSION_COOKIE, Context, Held, SomePerson
from service.identity import SESSION_MAX_AGE_S
from service.pages.origin import Fields, cross_site, own_path
from service.pages.template import page

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=2000)]
UNKNOWN_TOKEN = "Nobody has this token. Ask for a personal API token, or check that all of it was pasted."  # noqa: S105
OTHER_SITE = "This form came from another site, so it was not read. Open the page here and send it again."


@router.get("/login")
def login(person: SomePerson, wanted: Next = "/") -> Response:
    if person is not None:
        return RedirectResponse(own_path(wanted), status.HTTP_303_SEE_OTHER)
    return _form(own_path(wanted))


@router.post("/login")
def enter_with_token(request: Request, held: Held, form: Fields) -> Response:
    """A session for whoever owns the token."""
    wanted = own_path(form.get("next", "/"))
    if cross_site(request, held.settings.public_url):
        return _form(wanted, OTHER_SITE, status.HTTP_403_FORBIDDEN)
    person = held.identities.by_token(form.get("token", "").strip())
    if person is None:
        return _form(wanted, UNKNOWN_TOKEN, status.HTTP_403_FORBIDDEN)
    return _session(held, person, wanted)


@router.get("/enter")
def enter(held: Held, code: Annotated[str, Query(max_length=500)] = "", wanted: Next = "/") -> Response:
    """The development login, `code:person` in the settings: an address to click, on a loopback address only."""
    secret = held.settings.dev_login
    if secret is None:
        return page("problem.html", None, "", status.HTTP_404_NOT_FOUND, title="There is no such page", text="")
    known, _, name = secret.get_secret_value().rpartition(":")
    if not known or not hmac.compare_digest(known.encode(), code.encode()):
        return _form(own_path(wanted), "This code is not the one of this run.", status.HTTP_403_FORBIDDEN)
    person = held.identities.by_name(name)
    if person is None:
        return _form(own_path(wanted), "Nobody of that name has a token here.", status.HTTP_403_FORBIDDEN)
    return _session(held, person, own_path(wanted))


@router.post("/logout")
def logout(request: Request, held: Held, form: Fields) -> Response:
    if cross_site(request, held.settings.public_url) or not csrf_holds(request, held, form):
        return _form("/", OTHER_SITE, status.HTTP_403_FORBIDDEN)
    response = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE)
    return response


def csrf_holds(request: Request, held: Context, form: dict[str, str]) -> bool:
    """Whether the form belongs to this session."""
    cookie, sent = request.cookies.get(SESSION_COOKIE), form.get("csrf", "")
    return cookie is not None and sent.isascii() and held.identities.csrf_holds(cookie, sent)


def _form(wanted: str, problem: str = "", code: int = status.HTTP_200_OK) -> HTMLResponse:
    return page("login.html", None, "", code, wanted=wanted, problem=problem)


def _session(held: Context, person: Person, wanted: str) -> Response:
    response = RedirectResponse(wanted, status.HTTP_303_SEE_OTHER)
    response.set_cookie(
        SESSION_COOKIE,
        held.identities.session(person),
        max_age=SESSION_MAX_AGE_S,
        httponly=True,
        samesite="lax",
        secure=held.settings.public_url.startswith("https:"),
    )
    return response
