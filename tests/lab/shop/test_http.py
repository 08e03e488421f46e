"""Deadlines, refusals and what is counted of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.requests import Request


def _answers(handler: http.Handler, telemetry: Telemetry, *paths: str, timeout_s: float = 5.0) -> list[httpx.Response]:
    """What GETs of the paths answer, one after the other, on an application with the handler at /thing."""
    app = http.application(telemetry, [Route("/thing", http.measured(telemetry, "/thing", handler, timeout_s))])

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


async def _fine(_request: Request) -> Response:
    return JSONResponse({"fine": True})


async def _never(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


async def _number(request: Request) -> Response:
    return JSONResponse({"number": http.query_int(request, "n")})


def test_a_request_past_its_deadline_is_answered_504_and_counted_so() -> None:
    telemetry = Telemetry("orders")

    (answer,) = _answers(_never, telemetry, "/thing", timeout_s=0.01)

    labels = {"service": "orders", "route": "/thing", "method": "GET", "code": "504"}
    assert answer.status_code == 504
    assert telemetry.registry.get_sample_value("http_server_requests_total", labels) == 1.0


@pytest.mark.parametrize("bad", ["", "-1", "0", "1.5", "x", "1e3", "9" * 19, "٣"])
def test_what_is_not_a_positive_whole_number_is_refused_as_the_callers_mistake(bad: str) -> None:
    (answer,) = _answers(_number, Telemetry("orders"), f"/thing?n={bad}")

    assert answer.status_code == 400
    assert answer.json() == {"error": "n must be a positive whole number"}


def test_time_and_status_of_every_request_are_exposed() -> None:
    _, metrics = _answers(_fine, Telemetry("orders"), "/thing", "/metrics")

    assert 'http_server_requests_total{code="200",method="GET",route="/thing",service="orders"} 1.0' in metrics.text
    assert 'http_server_request_duration_seconds_count{route="/thing",service="orders"} 1.0' in metrics.text
    assert 'http_server_requests_in_flight{service="orders"} 0.0' in metrics.text
    assert "process_cpu_seconds_total" in metrics.text
