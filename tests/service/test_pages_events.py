from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request

from service.app import create
from service.identity import Person
from service.pages import incident, overview
from service.pages.live import IncidentPage
from service.routes.events import follow, reader
from tests.service.pages_browser import Browser
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from service.context import Context
    from service.routes.events import Reader
    from tests.service.memory_store import MemoryStore


ADA = Person("Ada", frozenset({"approver"}))
VERA = Person("Vera", frozenset({"viewer"}))


def _as(person: Person) -> Reader:
    async def who() -> Person | None:
        return person

    return who


async def _next(events: AsyncIterator[bytes]) -> str:
    return (await asyncio.wait_for(anext(events), 20)).decode()


def _parts(told: str) -> dict[str, Any]:
    head, _, data = told.partition("\ndata: ")
    assert head == "event: parts"
    found: dict[str, Any] = orjson.loads(data)
    return found


def noted(store: MemoryStore, number: int, note: str, incident: int = 1) -> None:
    store.add("audit", id=number, at=store.at, incident_id=incident, actor="worker", action="CheckAnswered", seq=None,
              hash=None, data={"note": note, "from": None, "to": None})  # fmt: skip


def test_a_stream_begins_with_the_version_that_a_page_served_now_would_have(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)

    async def listen() -> str:
        return await _next(follow(held, 1, _as(ADA)))

    assert asyncio.run(listen()).endswith('event: changed\ndata: {"version": 4}\n\n')


def test_after_a_change_only_the_parts_that_changed_are_sent(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> list[dict[str, Any]]:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, 1, _as(ADA))
        await _next(events)
        told = []
        for number, changed in ((9, 1), (10, 2), (11, 1)):
            noted(store, number, f"note {number}", changed)
            held.broadcast.tell(str(changed))
            if changed == 1:
                told.append(_parts(await _next(events)))
        return told

    first, second = asyncio.run(listen())
    assert first["version"] == 9
    assert all(f'data-part="{name}"' in first["html"] for name in incident.PARTS)
    assert second["version"] == 11
    assert "note 11" in second["html"]
    assert re.findall(r'data-part="(\w+)"', second["html"]) == ["timeline"]


def test_what_is_sent_to_many_is_read_and_rendered_once_and_is_the_same_bytes(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> list[bytes]:
        held.broadcast.bind(asyncio.get_running_loop())
        streams = [follow(held, 1, _as(ADA)) for _ in range(5)]
        for events in streams:
            await _next(events)
        before = store.transactions
        held.broadcast.tell("1")
        told = await asyncio.gather(*(anext(events) for events in streams))
        assert store.transactions == before + 1
        return told

    assert len({id(one) for one in asyncio.run(listen())}) == 1


def test_who_is_late_with_what_was_read_before_gives_nobody_the_old(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)
    page = IncidentPage(held, 1)

    async def both() -> list[str]:
        held.broadcast.bind(asyncio.get_running_loop())
        with held.broadcast.follow("1") as (topic, changed):
            before = await topic.latest(page.read)
            noted(store, 9, "read later")
            held.broadcast.tell("1")
            await changed.wait()
            seen = page.seen(before.value, ADA)
            old = await before.once(seen, lambda: page.render(before.value, seen))
            after = await topic.latest(page.read)
            new = await after.once(seen, lambda: page.render(after.value, seen))
            return [one.parts["timeline"] for one in (old, new)]

    old, new = asyncio.run(both())
    assert "read later" not in old
    assert "read later" in new


def test_each_person_is_sent_what_they_may_do_and_nobody_a_token_of_a_form(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> list[str]:
        held.broadcast.bind(asyncio.get_running_loop())
        streams = [follow(held, number, _as(person)) for number in (1, None) for person in (ADA, VERA)]
        for events in streams:
            await _next(events)
        held.broadcast.tell("1")
        return [_parts(await _next(events))["html"] for events in streams]

    ada, vera, adas, veras = asyncio.run(listen())
    assert 'id="approve"' in ada
    assert 'id="approve"' not in vera
    assert "Waits for you" in adas
    assert "Waits for you" not in veras
    assert set(re.findall(r'name="csrf" value="(.*?)"', ada)) == {""}
    assert "Ada" not in re.sub(r"of Ada, Bob must", "", vera)


def test_a_change_of_everything_reaches_each_page(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> str:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, 1, _as(ADA))
        await _next(events)
        store.tables["control"] = [{"paused": True, "reason": "a freeze", "person": "Bob", "at": store.at}]
        held.broadcast.tell("")
        return str(_parts(await _next(events))["html"])

    assert "Paused by Bob" in asyncio.run(listen())


def test_silence_is_a_heartbeat_and_a_session_that_ended_is_the_end(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)
    known = [ADA]

    async def listen() -> list[str]:
        async def who() -> Person | None:
            return known[0] if known else None

        events = follow(held, 1, who, heartbeat_s=0.01)
        told = [await _next(events), await _next(events)]
        known.clear()
        told += [one.decode() async for one in events]
        return told

    told = asyncio.run(listen())
    assert told[1] == ": still here\n\n"
    assert all(one.startswith(":") for one in told[1:])
    assert held.broadcast.followed == set()


def test_after_a_logout_nothing_more_is_sent(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)
    cookie = held.sessions.begin("Ada", "token")
    request = Request({"type": "http", "headers": [(b"cookie", f"stanch_session={cookie}".encode())]})

    async def listen() -> list[bytes]:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, 1, reader(request, held, ADA))
        told = [await anext(events)]
        held.sessions.end(cookie)
        held.broadcast.tell("1")
        return told + [one async for one in events]

    assert len(asyncio.run(listen())) == 1


def test_a_store_that_is_away_is_told_and_nothing_breaks(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    held = context(store, tmp_path)

    async def listen() -> list[str]:
        held.broadcast.bind(asyncio.get_running_loop())
        store.away = True
        events = follow(held, 1, _as(ADA))
        told = [await _next(events)]
        for away in (True, False):
            store.away = away
            held.broadcast.tell("1")
            told.append(await _next(events))
        return told

    first, second, third = asyncio.run(listen())
    assert "event: away" in first
    assert "event: away" in second
    assert "event: parts" in third


def test_any_change_reaches_the_overview(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)

    async def listen() -> str:
        held.broadcast.bind(asyncio.get_running_loop())
        events = follow(held, None, _as(ADA))
        await _next(events)
        held.broadcast.tell("77")
        return await _next(events)

    assert all(f'data-part="{name}"' in _parts(asyncio.run(listen()))["html"] for name in overview.PARTS)


def test_a_client_that_goes_away_ends_its_stream(tmp_path: Path) -> None:
    held = context(story("awaiting_approval"), tmp_path)
    cookie = f"stanch_session={held.sessions.begin('Ada', 'token')}"
    sent = asyncio.run(_stream_until_first_event(held, cookie))
    assert sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]
    assert held.broadcast.followed == set()


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
