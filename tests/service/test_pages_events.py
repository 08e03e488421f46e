from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from service.app import create
from service.routes.events import follow
from tests.service.pages_browser import Browser
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from service.context import Context


async def _known() -> bool:
    return True


async def _next(events: AsyncIterator[str]) -> str:
    return await asyncio.wait_for(anext(events), 20)


def test_a_change_is_told_with_the_version_that_a_page_served_now_would_have(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> list[str]:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, 1, _known)
        told = [await _next(events)]
        store.add("audit", id=9, incident_id=1)
        store.add("audit", id=10, incident_id=2)
        held.broadcast.tell("2")
        held.broadcast.tell("1")
        told.append(await _next(events))
        return told

    first, second = asyncio.run(listen())
    assert first.endswith('event: changed\ndata: {"version": 4}\n\n')
    assert second == 'event: changed\ndata: {"version": 9}\n\n'


def test_silence_is_a_heartbeat_and_a_session_that_ended_is_the_end(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)
    known = [True]

    async def listen() -> list[str]:
        async def still() -> bool:
            return known[0]

        events = follow(held, 1, still, heartbeat_s=0.01)
        told = [await _next(events), await _next(events)]
        known[0] = False
        told += [one async for one in events]
        return told

    told = asyncio.run(listen())
    assert told[1] == ": still here\n\n"
    assert all(one.startswith(":") for one in told[1:])
    assert held.broadcast._waiting == set()


def test_a_store_that_is_away_is_told_and_nothing_breaks(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    store.away = True
    held = context(store, tmp_path)

    async def listen() -> str:
        return await _next(follow(held, 1, _known))

    assert "event: away" in asyncio.run(listen())


def test_any_change_reaches_the_overview(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)

    async def listen() -> str:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, None, _known)
        await _next(events)
        held.broadcast.tell("77")
        return await _next(events)

    assert "event: changed" in asyncio.run(listen())


def test_a_client_that_goes_away_ends_its_stream(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)
    cookie = f"stanch_session={held.sessions.begin('Ada', 'token')}"
    sent = asyncio.run(_stream_until_first_event(held, cookie))
    assert sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]
    assert held.broadcast._waiting == set()


async def _stream_until_first_event(held: Context, cookie: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    first = asyncio.Event()
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await first.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            first.set()

    scope = {
        "type": "http", "method": "GET", "path": "/i/INC-1/events", "raw_path": b"/i/INC-1/events", "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"cookie", cookie.encode())], "http_version": "1.1", "scheme": "http",
        "server": ("testserver", 80), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    await asyncio.wait_for(create(held)(scope, receive, send), 20)
    return sent


def test_strangers_get_no_events(tmp_path: Path) -> None:
    browser = Browser(context(story("awaiting_approval"), tmp_path))
    assert browser.get("/i/INC-1/events").status_code == 401
    assert browser.get("/events").status_code == 401


def test_a_name_that_cannot_be_an_incident_has_no_events(tmp_path: Path) -> None:
    browser = Browser(context(story("awaiting_approval"), tmp_path)).log_in()
    assert browser.get("/i/everything/events").status_code == 404
