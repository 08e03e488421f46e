"""Sends an open page what changed, as it changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, TypeAlias

from fastapi import APIRouter, Request, status
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from connectors.unreachable import Unreachable
from service.broadcast import ANY
from service.context import Context, Held, SomePerson, cookie_of, person_of
from service.pages.keys import incident_id
from service.pages.live import IncidentPage, OverviewPage, Page, Rendered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from service.broadcast import Topic
    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)

HEARTBEAT_S = 15.0
SESSION_CHECK_S = 10.0
"""How long a page may still be told what changed after its session was ended by another process."""
PAUSE_S = 0.25
PAUSE_ALL_S = 0.5
"""Changes that come closer together are one event: a page is not asked to redraw more often, and the overview, which
every incident changes, not as often as one incident.
"""
AWAY = b"event: away\ndata: {}\n\n"


@router.get("/events")
async def all_events(request: Request, held: Held, person: SomePerson) -> Response:
    """Of every incident, for the overview."""
    return _stream(request, held, person, None) if person else _stranger()


@router.get("/i/{key}/events")
async def incident_events(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    number = incident_id(key)
    if person is None:
        return _stranger()
    if number is None:
        return PlainTextResponse("there is no such incident\n", status.HTTP_404_NOT_FOUND)
    return _stream(request, held, person, number)


def _stranger() -> Response:
    return PlainTextResponse("log in first\n", status.HTTP_401_UNAUTHORIZED)


def _stream(request: Request, held: Context, person: Person, number: int | None) -> Response:
    told = follow(held, number, reader(request, held, person))
    return StreamingResponse(told, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


Reader: TypeAlias = "Callable[[], Awaitable[Person | None]]"
"""Who reads the stream, as of now; None: the session is over."""


def reader(request: Request, held: Context, person: Person) -> Reader:
    """Looked up once in a while; a logout in this process counts at once, and a store that is away ends nothing."""
    asked_at = time.monotonic()
    known: Person | None = person
    cookie = cookie_of(request, held)

    async def who() -> Person | None:
        nonlocal asked_at, known
        if cookie is not None and held.sessions.ended(cookie):
            return None
        if time.monotonic() - asked_at >= SESSION_CHECK_S:
            asked_at = time.monotonic()
            with contextlib.suppress(Unreachable):
                known = await run_in_threadpool(person_of, request, held)
        return known

    return who


async def follow(
    held: Context, number: int | None, who: Reader, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """First `changed` with the version that a page served now would have, for what changed while nobody listened; then
    at each change `parts`, those that this stream has not sent as they are now; `away` while the store does not answer;
    a comment as heartbeat. Ends when the session does. number None: any incident.
    """
    page: Page = OverviewPage(held) if number is None else IncidentPage(held, number)
    pause_s = PAUSE_ALL_S if number is None else PAUSE_S
    sent: Mapping[str, str] = {}
    with held.broadcast.follow(ANY if number is None else str(number)) as (topic, changed):
        yield b"retry: 2000\n" + await _newest(held, number)
        while True:
            silent = not await _within(heartbeat_s, changed)
            person = await who()
            if person is None:
                return
            if silent:
                yield b": still here\n\n"
                continue
            changed.clear()
            rendered = await _rendered(topic, page, person)
            if rendered is None:
                sent = {}
                yield AWAY
            else:
                news = frozenset(name for name, mark in rendered.marks.items() if sent.get(name) != mark)
                sent = rendered.marks
                if news:
                    yield rendered.event(news)
            await asyncio.sleep(pause_s)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _rendered(topic: Topic, page: Page, person: Person) -> Rendered | None:
    """One read for all who follow, one rendering for all who see the same. None: the store does not answer."""
    try:
        shared = await topic.latest(page.read)
        if shared.value is None:
            return Rendered(0, {}, {})
        seen = page.seen(shared.value, person)
        return await shared.once(seen, lambda: page.render(shared.value, seen))
    except Unreachable:
        return None


async def _newest(held: Context, number: int | None) -> bytes:
    try:
        version = await run_in_threadpool(_version, held, number)
    except Unreachable:
        return AWAY
    return f'event: changed\ndata: {{"version": {version}}}\n\n'.encode()


def _version(held: Context, number: int | None) -> int:
    """The newest audit row's id, for each change is noted there; 0 without one. The connection goes back at once."""
    with held.ports.store.transaction() as tx:
        row = tx.one("latest_audit") if number is None else tx.one("latest_audit_of", incident=number)
    return (row or {}).get("id") or 0
