"""Logins by the OpenID provider: out to it and back with a code."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request, status
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature

from connectors.oidc import LoginRefused
from connectors.unreachable import Unreachable
from service.context import Context, Held
from service.pages.origin import own_path
from service.routes import login

router = APIRouter(tags=["pages"], include_in_schema=False)
log = structlog.get_logger()

STATE_COOKIE = "stanch_login"
STATE_MAX_AGE_S = 600
NOT_PROVEN = "The provider's answer does not prove who you are. Try again; the log of `stanch serve` says why."
PROVIDER_AWAY = "The OpenID provider does not answer. Try again, or log in with a personal API token."


@router.get("/login/oidc")
def out(held: Held, wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/", fresh: str = "") -> Response:
    """To the provider; what must come back unchanged travels in a signed cookie of ten minutes."""
    provider = held.provider
    if provider is None:
        return login.form(held, "/", "No OpenID provider is configured here.", status.HTTP_404_NOT_FOUND)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    since = time.time() if fresh else None
    try:
        url = provider.login_url(_back(held), state=state, nonce=nonce, verifier=verifier, fresh=bool(fresh))
    except Unreachable as error:
        return _away(held, error)
    carried = held.identities.state_signer.dumps([state, nonce, verifier, own_path(wanted), since])
    response = RedirectResponse(url, status.HTTP_303_SEE_OTHER)
    response.set_cookie(
        STATE_COOKIE,
        carried,
        max_age=STATE_MAX_AGE_S,
        path="/login/oidc",
        httponly=True,
        samesite="lax",
        secure=held.settings.public_url.startswith("https:"),
    )
    return response


@router.get("/login/oidc/callback")
def back(
    request: Request,
    held: Held,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """A session for the person whom the provider names."""
    provider = held.provider
    carried = _carried(request, held)
    if (
        provider is None
        or carried is None
        or not code
        or not secrets.compare_digest(carried[0].encode(), state.encode())
    ):
        return login.form(held, "/", NOT_PROVEN, status.HTTP_403_FORBIDDEN)
    _, nonce, verifier, wanted, since = carried
    try:
        found = provider.identify(_back(held), code, nonce=nonce, verifier=verifier, fresh_since=since)
    except LoginRefused as error:
        log.warning("login refused", why=str(error))
        return login.form(held, wanted, NOT_PROVEN, status.HTTP_403_FORBIDDEN)
    except Unreachable as error:
        return _away(held, error)
    response = login.admitted(held, request, found.person, "oidc", wanted, found.groups)
    response.delete_cookie(STATE_COOKIE, path="/login/oidc")
    return response


def _back(held: Context) -> str:
    return held.settings.public_url.rstrip("/") + "/login/oidc/callback"


def _carried(request: Request, held: Context) -> tuple[str, str, str, str, float | None] | None:
    try:
        state, nonce, verifier, wanted, since = held.identities.state_signer.loads(
            request.cookies.get(STATE_COOKIE, ""), max_age=STATE_MAX_AGE_S
        )
    except (BadSignature, ValueError, TypeError):
        return None
    return state, nonce, verifier, wanted, since


def _away(held: Context, error: Unreachable) -> Response:
    log.warning("login without its provider", error=str(error))
    return login.form(held, "/", PROVIDER_AWAY, status.HTTP_503_SERVICE_UNAVAILABLE)
