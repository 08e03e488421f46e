"""Who is reading: a token, an OpenID provider or a proxy says so, and a session of ours remembers it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, status
from fastapi.responses import RedirectResponse, Response

from service import proxy
from service.context import Context, Held, SomePerson, by_token, cookie_of, session_cookie
from service.pages.origin import Fields, cross_site, own_path
from service.pages.template import page
from service.sessions import ABSOLUTE_S, Method

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

router = APIRouter(tags=["pages"], include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=2000)]
UNKNOWN_TOKEN = "Nobody has this token. Ask for a personal API token, or check that all of it was pasted."  # noqa: S105
OTHER_SITE = "This form came from another site, so it was not read. Open the page here and send it again."
NO_ROLE = "You are known, but nobody has given you a role here. Ask for one: `people` or `groups` in stanch.yaml."


@router.get("/login")
def login(request: Request, held: Held, person: SomePerson, wanted: Next = "/", fresh: str = "") -> Response:
    """fresh: somebody who is logged in shows once more who they are."""
    if person is not None and not fresh:
        return RedirectResponse(own_path(wanted), status.HTTP_303_SEE_OTHER)
    vouched = proxy.named(request, held.settings)
    if vouched is not None and not fresh:
        return admitted(held, request, vouched[0], "proxy", own_path(wanted), vouched[1])
    return form(held, own_path(wanted), fresh=fresh)


@router.post("/login")
def enter_with_token(request: Request, held: Held, sent: Fields) -> Response:
    """A session for whoever owns the token."""
    wanted = own_path(sent.get("next", "/"))
    if cross_site(request, held.settings.public_url):
        return form(held, wanted, OTHER_SITE, status.HTTP_403_FORBIDDEN)
    person = by_token(held, sent.get("token", "").strip())
    if person is None:
        return form(held, wanted, UNKNOWN_TOKEN, status.HTTP_403_FORBIDDEN)
    return admitted(held, request, person.name, "token", wanted)


@router.get("/enter")
def enter(
    request: Request, held: Held, code: Annotated[str, Query(max_length=500)] = "", wanted: Next = "/"
) -> Response:
    """The development login, `code:person` in the settings: an address to click, on a loopback address only."""
    secret = held.settings.dev_login
    if secret is None:
        return page("problem.html", None, "", status.HTTP_404_NOT_FOUND, title="There is no such page", text="")
    known, _, name = secret.get_secret_value().rpartition(":")
    if not known or not hmac.compare_digest(known.encode(), code.encode()):
        return form(held, own_path(wanted), "This code is not the one of this run.", status.HTTP_403_FORBIDDEN)
    return admitted(held, request, name, "dev", own_path(wanted))


@router.post("/logout")
def logout(request: Request, held: Held, sent: Fields) -> Response:
    if cross_site(request, held.settings.public_url) or not csrf_holds(request, held, sent):
        return form(held, "/", OTHER_SITE, status.HTTP_403_FORBIDDEN)
    held.sessions.end(cookie_of(request, held) or "")
    response = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
    response.delete_cookie(session_cookie(held.settings.public_url), secure=_https(held))
    return response


def csrf_holds(request: Request, held: Context, sent: dict[str, str]) -> bool:
    """Whether the form belongs to this session."""
    cookie, token = cookie_of(request, held), sent.get("csrf", "")
    return cookie is not None and token.isascii() and held.identities.csrf_holds(cookie, token)


def form(
    held: Context, wanted: str, problem: str = "", code: int = status.HTTP_200_OK, *, fresh: str = ""
) -> HTMLResponse:
    """The page that asks who somebody is."""
    oidc = held.provider is not None
    return page("login.html", None, "", code, wanted=wanted, problem=problem, oidc=oidc, fresh=bool(fresh))


def admitted(
    held: Context, request: Request, name: str, method: Method, wanted: str, groups: tuple[str, ...] = ()
) -> Response:
    """A new session, in place of any earlier one: its value changes with every login."""
    if held.identities.by_name(name, groups) is None:
        return form(held, wanted, NO_ROLE, status.HTTP_403_FORBIDDEN)
    before = cookie_of(request, held)
    if before:
        held.sessions.end(before)
    response = RedirectResponse(wanted, status.HTTP_303_SEE_OTHER)
    response.set_cookie(
        session_cookie(held.settings.public_url),
        held.sessions.begin(name, method, groups),
        max_age=int(ABSOLUTE_S),
        httponly=True,
        samesite="lax",
        secure=_https(held),
    )
    return response


def _https(held: Context) -> bool:
    return held.settings.public_url.startswith("https:")
