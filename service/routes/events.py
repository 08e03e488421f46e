"""Tells an open page that something changed. The page asks for the rest itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, status
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from connectors.unreachable import Unreachable
from service.context import Context, Held, SomePerson, person_of
from service.pages.keys import incident_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

router = APIRouter(tags=["pages"], include_in_schema=False)

HEARTBEAT_S = 15.0
SESSION_CHECK_S = 10.0
"""How long a page may still be told after a logout elsewhere that something changed (never what)."""
PAUSE_S = 0.25
"""Changes that come closer together are one event: a page is not asked to redraw more often."""


@router.get("/events")
async def all_events(request: Request, held: Held, person: SomePerson) -> Response:
    """Of every incident, for the overview."""
    return _stream(request, held, None) if person else _stranger()


@router.get("/i/{key}/events")
async def incident_events(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    number = incident_id(key)
    if person is None:
        return _stranger()
    if number is None:
        return PlainTextResponse("there is no such incident\n", status.HTTP_404_NOT_FOUND)
    return _stream(request, held, number)


def _stranger() -> Response:
    return PlainTextResponse("log in first\n", status.HTTP_401_UNAUTHORIZED)


def _stream(request: Request, held: Context, number: int | None) -> Response:
    told = follow(held, number, _session_check(request, held))
    return StreamingResponse(told, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _session_check(request: Request, held: Context) -> Callable[[], Awaitable[bool]]:
    """Whether the session still holds, asked once in a while. A store that is away ends nobody's session."""
    asked_at = time.monotonic()

    async def still_known() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at < SESSION_CHECK_S:
            return True
        asked_at = time.monotonic()
        try:
            return await run_in_threadpool(person_of, request, held) is not None
        except Unreachable:
            return True

    return still_known


async def follow(
    held: Context, number: int | None, still_known: Callable[[], Awaitable[bool]], heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[str]:
    """`changed` with the version that a page served now would have, first of all for what changed while nobody
    listened; `away` while the store does not answer; a comment as heartbeat. Ends when the session does. number None:
    any incident.
    """
    with held.broadcast.follow("*" if number is None else str(number)) as changed:
        yield f"retry: 2000\n{await _event(held, number)}"
        while await still_known():
            try:
                await asyncio.wait_for(changed.wait(), heartbeat_s)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            changed.clear()
            yield await _event(held, number)
            await asyncio.sleep(PAUSE_S)


async def _event(held: Context, number: int | None) -> str:
    try:
        version = await run_in_threadpool(_version, held, number)
    except Unreachable:
        return "event: away\ndata: {}\n\n"
    return f'event: changed\ndata: {{"version": {version}}}\n\n'


def _version(held: Context, number: int | None) -> int:
    """The newest audit row's id, for each change is noted there; 0 without one. The connection goes back at once."""
    with held.ports.store.transaction() as tx:
        row = tx.one("latest_audit") if number is None else tx.one("latest_audit_of", incident=number)
    return (row or {}).get("id") or 0
