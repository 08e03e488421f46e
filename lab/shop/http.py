"""How the shop's processes answer, call each other, start and stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import wire

if TYPE_CHECKING:
    import argparse

    from lab.shop.control import Control
    from lab.shop.telemetry import Telemetry

REQUEST_TIMEOUT_S = 5.0
_CLIENT_GONE = 499  # as nginx counts it; nobody reads the answer
_MOST_DIGITS = 18  # what fits a bigint
# Below the request's own deadline, so that a slow peer is counted on its edge before the caller gives up.
CALL_TIMEOUT_S = 4.8

Handler = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class RefusedError(Exception):
    """A request that ends here with this status: bad input, a full pool, a peer that failed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def measured(
    telemetry: Telemetry,
    route: str,
    handler: Handler,
    timeout_s: float = REQUEST_TIMEOUT_S,
    *,
    control: Control | None = None,
) -> Handler:
    """The handler with its deadline (504 past it), its refusals as JSON, and its time and status counted.

    control: what a fault may do to it first.
    """

    async def endpoint(request: Request) -> Response:
        started = time.perf_counter()
        telemetry.started()
        status = 500  # what uvicorn answers when something nobody foresaw comes through here
        try:
            async with asyncio.timeout(timeout_s):
                if control is not None:
                    await control.disturb()
                response = await handler(request)
            status = response.status_code
        except TimeoutError:
            status = 504
            response = _problem(status, f"no answer within {timeout_s:g} s")
        except RefusedError as refused:
            status = refused.status
            response = _problem(status, refused.why)
        except ClientDisconnect:
            status = _CLIENT_GONE
            response = _problem(status, "the caller did not wait")
        finally:
            telemetry.answered(route, request.method, status, time.perf_counter() - started)
        return response

    return endpoint


def _problem(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)


class Peer:
    """Another service, called over HTTP with a deadline; every call is counted on its edge."""

    def __init__(self, name: str, url: str, telemetry: Telemetry) -> None:
        self.name = name
        self.client = wire.Client(url)
        self._telemetry = telemetry

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The peer's JSON. Raises RefusedError: 504 when late, 502 when gone, else its own error status."""
        started = time.perf_counter()
        code = "cancelled"
        try:
            answer = await self.client.request(method, path, body, timeout_s=CALL_TIMEOUT_S)
            code = str(answer.status)
            if answer.is_error:
                raise RefusedError(answer.status, f"{self.name} answered {answer.status}")
            return answer.json()
        except TimeoutError as late:
            code = "timeout"
            raise RefusedError(504, f"{self.name} did not answer within {CALL_TIMEOUT_S:g} s") from late
        except wire.PeerGoneError as gone:
            code = "unreachable"
            raise RefusedError(502, f"{self.name} is unreachable: {gone}") from gone
        finally:
            self._telemetry.called(self.name, code, time.perf_counter() - started)


def application(
    telemetry: Telemetry, routes: list[Route], lifespan: Lifespan | None = None, control: Control | None = None
) -> Starlette:
    """With /metrics and /healthz; with /control where there is a control."""
    every = [*routes, Route("/metrics", telemetry.expose), Route("/healthz", _healthy)]
    if control is not None:
        every.append(Route("/control", answered(control.post), methods=["POST"]))
    return Starlette(routes=every, lifespan=lifespan)


def answered(handler: Handler) -> Handler:
    """A handler whose refusals are answered as JSON, and that nothing counts."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as refused:
            return _problem(refused.status, refused.why)

    return endpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", action="store_true", help="let whoever is on this machine break it: POST /control")


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def server(app: Starlette, port: int) -> uvicorn.Server:
    """A loopback server that finishes its requests on SIGTERM."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        # Longer than the clients keep a connection, so that no call meets one that is just being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(REQUEST_TIMEOUT_S) + 1,
    )
    return uvicorn.Server(config)


def serve(app: Starlette, port: int) -> None:
    """Answer on 127.0.0.1:port until SIGTERM or SIGINT, then exit 0."""
    # uvicorn raises the signal it stopped on once more, for whoever listened before; this end is an orderly one.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    server(app, port).run()


def path_int(request: Request, name: str) -> int:
    return _positive(request.path_params.get(name), name)


def query_int(request: Request, name: str) -> int:
    return _positive(request.query_params.get(name), name)


def body_int(body: Mapping[str, object], name: str) -> int:
    return _positive(body.get(name), name)


def _positive(value: object, name: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= _MOST_DIGITS and int(text) > 0):
        raise RefusedError(400, f"{name} must be a positive whole number")
    return int(text)


async def json_object(request: Request) -> Mapping[str, object]:
    try:
        body = await request.json()
    except ValueError as broken:
        raise RefusedError(400, "the body must be JSON") from broken
    if not isinstance(body, dict):
        raise RefusedError(400, "the body must be a JSON object")
    return body
