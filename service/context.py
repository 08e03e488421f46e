"""What the API process holds, and who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, HTTPException, Request, status

from service.identity import Identities, Person, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrails.permit import SigningKey
    from service.broadcast import Broadcast
    from service.ports import Ports
    from service.settings import Settings
    from service.steps.runner import Runner

SESSION_COOKIE = "stanch_session"


@dataclass(frozen=True, slots=True)
class Context:
    """Made by app.create; lives as long as the process."""

    settings: Settings
    ports: Ports
    runner: Runner
    signing_key: SigningKey
    identities: Identities
    broadcast: Broadcast
    wakes: dict[str, Callable[[], None]] = field(default_factory=dict)


def context(request: Request) -> Context:
    held: Context = request.app.state.context
    return held


Held = Annotated[Context, Depends(context)]


def person_of(request: Request, held: Held) -> Person | None:
    """By bearer token, else by session cookie; None for a stranger."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer" and token:
        return held.identities.by_token(token.strip())
    cookie = request.cookies.get(SESSION_COOKIE)
    return held.identities.by_session(cookie) if cookie else None


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
