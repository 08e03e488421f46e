"""What a service does when it is asked to: really wait, fail, burn, and stop again."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.control import LONGEST_S, Control, number
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

VERSION = "build_info"


async def _fine(_request: Request) -> Response:
    return JSONResponse({"fine": True})


def _with_service(use: Callable[[httpx.AsyncClient, Telemetry], Awaitable[None]], *, controlled: bool = True) -> None:
    """A service with one route, /thing, whose requests may take a tenth of a second."""
    telemetry = Telemetry("catalog")
    control = Control(telemetry) if controlled else None
    thing = http.measured(telemetry, "/thing", _fine, 0.1, control=control)
    app = http.application(telemetry, [Route("/thing", thing)], control=control)

    async def serve() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
            await use(client, telemetry)
        if control is not None:
            await control.stop()

    asyncio.run(serve())


def _version(telemetry: Telemetry, version: str) -> float | None:
    return telemetry.registry.get_sample_value(VERSION, {"service": "catalog", "version": version})


def test_without_the_flag_there_is_no_control_route() -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        assert (await client.post("/control", json={"kind": "none"})).status_code == 404

    _with_service(use, controlled=False)


def test_a_wait_longer_than_the_deadline_is_a_504_until_it_is_undone() -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        await client.post("/control", json={"kind": "latency", "wait_s": 1})
        assert (await client.get("/thing")).status_code == 504
        await client.post("/control", json={"kind": "none"})
        assert (await client.get("/thing")).status_code == 200

    _with_service(use)


def test_a_wait_ends_by_itself() -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        await client.post("/control", json={"kind": "latency", "wait_s": 1, "seconds": 0})
        assert (await client.get("/thing")).status_code == 200

    _with_service(use)


def test_a_failing_version_answers_500_and_says_its_name_until_it_is_taken_back() -> None:
    async def use(client: httpx.AsyncClient, telemetry: Telemetry) -> None:
        before = telemetry.version
        await client.post("/control", json={"kind": "errors", "share": 1, "version": "catalog-999"})
        assert (await client.get("/thing")).status_code == 500
        assert _version(telemetry, "catalog-999") == 1.0
        assert _version(telemetry, before) is None
        await client.post("/control", json={"kind": "none"})
        assert (await client.get("/thing")).status_code == 200
        assert _version(telemetry, before) == 1.0

    _with_service(use)


def test_nothing_in_the_metrics_says_that_a_disturbance_was_asked_for() -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        await client.post("/control", json={"kind": "latency", "wait_s": 0.01})
        await client.get("/thing")
        text = (await client.get("/metrics")).text
        assert 'route="/thing"' in text
        assert "control" not in text
        assert "latency" not in text

    _with_service(use)


def test_threads_burn_until_they_are_told_to_stop() -> None:
    def burning() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]

    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        await client.post("/control", json={"kind": "cpu", "threads": 2, "seconds": 30})
        threads = burning()
        assert len(threads) == 2
        assert (await client.post("/control", json={"kind": "cpu"})).status_code == 409
        await client.post("/control", json={"kind": "none"})
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
        assert burning() == []

    _with_service(use)


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"kind": "earthquake"}, 400),
        ({}, 400),
        ([], 400),
        ({"kind": "latency", "wait_s": -1}, 400),
        ({"kind": "latency", "wait_s": "long"}, 400),
        ({"kind": "cpu", "threads": True}, 400),
        ({"kind": "leak", "pool": "no-such"}, 400),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(order: Any, status: int) -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        answer = await client.post("/control", json=order)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert (await client.get("/thing")).status_code == 200

    _with_service(use)


def test_the_same_kind_twice_is_refused_until_it_is_undone() -> None:
    async def use(client: httpx.AsyncClient, _telemetry: Telemetry) -> None:
        for kind in ("latency", "errors"):
            assert (await client.post("/control", json={"kind": kind})).status_code == 200
            assert (await client.post("/control", json={"kind": kind})).status_code == 409

    _with_service(use)


def test_nothing_lasts_longer_than_the_longest_whatever_is_asked() -> None:
    assert number({"seconds": 1e9}, "seconds", LONGEST_S, 1.0) == LONGEST_S
    assert number({}, "seconds", LONGEST_S, 7.0) == 7.0
    with pytest.raises(http.RefusedError):
        number({"seconds": float("inf")}, "seconds", LONGEST_S, 1.0)
