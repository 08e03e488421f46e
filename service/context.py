"""What the API process holds, and who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, HTTPException, Request, status

from service import proxy, round_trip
from service.hooks import Doors, closed_doors
from service.identity import TOKEN_PREFIX, Identities, Person, Role, token_hash
from service.pages.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.oidc import OpenIdProvider
    from guardrails.permit import SigningKey
    from service.broadcast import Broadcast
    from service.ports import Ports
    from service.round_trip import Tested
    from service.sessions import Sessions
    from service.settings import Settings
    from service.steps.runner import Runner

SESSION_COOKIE = "stanch_session"


def session_cookie(public_url: str) -> str:
    """Its name. Over HTTPS a browser holds __Host- cookies to this host, its root path and Secure."""
    return f"__Host-{SESSION_COOKIE}" if public_url.startswith("https:") else SESSION_COOKIE


@dataclass(frozen=True, slots=True)
class Context:
    """Made by app.create; lives as long as the process."""

    settings: Settings
    ports: Ports
    runner: Runner
    signing_key: SigningKey
    identities: Identities
    sessions: Sessions
    broadcast: Broadcast
    provider: OpenIdProvider | None = None
    wakes: dict[str, Callable[[], None]] = field(default_factory=dict)
    doors: Doors = field(default_factory=closed_doors)
    recent: Recent = field(default_factory=Recent)
    send_test: Callable[[Settings, Tested], tuple[bool, str]] = round_trip.tried


async def context(request: Request) -> Context:
    """Asynchronous, for FastAPI sends any other dependency to a thread and back."""
    held: Context = request.app.state.context
    return held


Held = Annotated[Context, Depends(context)]


def person_of(request: Request, held: Held) -> Person | None:
    """By bearer token, else by session cookie; None for a stranger."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer" and token:
        return by_token(held, token.strip())
    cookie = cookie_of(request, held)
    session = held.sessions.read(cookie) if cookie else None
    if session is None or proxy.contradicts(request, held.settings, session):
        return None
    return held.identities.by_name(session.person, session.groups, session.age_s)


def cookie_of(request: Request, held: Context) -> str | None:
    """The value of the session cookie; None without one."""
    return request.cookies.get(session_cookie(held.settings.public_url))


def by_token(held: Context, token: str) -> Person | None:
    """Owner of a token of the file, or of one that was made on the settings page, with the owner's roles of now."""
    known = held.identities.by_token(token)
    if known is not None or not token.startswith(TOKEN_PREFIX):
        return known
    with held.ports.store.transaction() as tx:
        row = tx.one("api_token", sha256=token_hash(token))
    return held.identities.by_name(row["person"]) if row else None


SAFE_METHODS = frozenset({"GET", "HEAD"})


def known_person(request: Request, found: Annotated[Person | None, Depends(person_of)]) -> Person:
    """Whoever changes something through the API sends a token: a browser adds a cookie by itself, a token never."""
    by_token = request.headers.get("authorization", "").lower().startswith("bearer ")
    if found is None or (request.method not in SAFE_METHODS and not by_token):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED,
            "who are you? send a personal API token as Authorization: Bearer",
            {"WWW-Authenticate": "Bearer"},
        )
    return found


KnownPerson = Annotated[Person, Depends(known_person)]
SomePerson = Annotated[Person | None, Depends(person_of)]


def require(person: Person, role: Role) -> None:
    """Raises 403."""
    if not person.may(role):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"{person.name} is no {role}")
