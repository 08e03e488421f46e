"""The API process: FastAPI, and beside it the relay, the steps of the queue `api`, the sealer."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import threading
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders

from connectors.broker import celery_app
from connectors.unreachable import Unreachable
from service import hooks, identity, integrations, loops, notices, proxy, refusals, wiring
from service.broadcast import Broadcast
from service.context import Context
from service.http_protocol import guarded
from service.pages.compression import Compressed
from service.routes import approvals, health, incidents, overview, pages, skills, slack, webhooks
from service.routes.webhooks.direct import Direct
from service.sessions import StoreSessions
from service.settings import Settings, UnusableSettings
from service.slack import enabled as slack_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STATIC = Path(__file__).parent / "static"


def build_context(settings: Settings) -> Context:
    """Raises UnusableSettings for whatever is missing, before anything listens."""
    given = wiring.ports(settings, "api")
    doors = hooks.open_doors(settings, given.configuration)
    integrations.check(settings)
    if settings.dev_login is not None and not _loopback(settings.bind_host):
        raise UnusableSettings("STANCH_DEV_LOGIN is for a loopback address only")
    slack_settings.slack(settings, given.configuration)
    settings.require("broker_url")
    key = wiring.signing_key(settings)
    proxy.check(settings)
    people, groups = given.configuration.people, given.configuration.groups
    identities = identity.Identities.of(
        identity.read_tokens(settings.api_tokens_file),
        settings.require("signing_key"),
        {name: frozenset(roles) for name, roles in people.items()},
        {name: frozenset(roles) for name, roles in groups.items()},
    )
    return Context(
        settings=settings,
        ports=given,
        runner=wiring.runner(given, wiring.API_HANDLERS, "api", ("api",)),
        signing_key=key,
        identities=identities,
        sessions=StoreSessions(given.store),
        broadcast=Broadcast(),
        provider=wiring.provider(settings),
        doors=doors,
    )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _CachedFiles(StaticFiles):
    """Files whose address changes with their content stay for a year; fonts, whose address does not, for a day."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        forever = b"v=" in scope["query_string"]
        response.headers["Cache-Control"] = "public, max-age=" + ("31536000, immutable" if forever else "86400")
        return response


def create(held: Context) -> FastAPI:
    """The application. Its loops run while it is served."""
    app = FastAPI(
        title="Stanch", version="1", lifespan=_lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.context = held
    app.state.slack = wiring.slack_channel(held)
    app.state.notices = notices.configured(held.settings, held.ports.configuration)
    for noun in (slack, webhooks, incidents, approvals, skills, health, pages, overview):
        app.include_router(noun.router)
    app.mount("/static", _CachedFiles(directory=STATIC), name="static")
    app.add_exception_handler(Unreachable, _store_away)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_middleware(Compressed)
    app.add_middleware(_Headers)
    app.add_middleware(Direct, headers=HEADERS)
    return app


class _Headers:
    """Adds what an answer does not say itself. Plain ASGI: a body goes through it untouched and unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


async def _store_away(request: Request, error: Exception) -> Response:
    log.warning("request without the store", path=request.url.path, error=str(error))
    if "text/html" in request.headers.get("accept", ""):
        return pages.store_away(request, str(error))
    return JSONResponse({"detail": "the store does not answer"}, status.HTTP_503_SERVICE_UNAVAILABLE)


async def _unreadable(request: Request, error: Exception) -> Response:  # noqa: ARG001 Starlette's signature
    """422 that says where and why and repeats nothing: what came in may be NaN or half a character, which no JSON of
    ours can carry.
    """
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    detail = [{"loc": one["loc"], "type": one["type"], "msg": one["msg"]} for one in found]
    text = json.dumps({"detail": detail})
    return Response(text, status.HTTP_422_UNPROCESSABLE_CONTENT, media_type="application/json")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    held: Context = app.state.context
    held.broadcast.bind(asyncio.get_running_loop())
    stop = threading.Event()
    _start_loops(held, stop)
    for loop in notices.loops(held.ports.store, app.state.notices, held.ports.public_url, stop):
        loop.start()
    if app.state.slack is not None:
        app.state.slack.start()
    try:
        yield
    finally:
        stop.set()
        if app.state.slack is not None:
            await app.state.slack.close()
        held.doors.inbox.close()
        held.ports.store.close()


def _start_loops(held: Context, stop: threading.Event) -> None:
    store, dsn = held.ports.store, held.settings.require("store_dsn")
    relay = loops.relay(store, celery_app(held.settings.require("broker_url")), stop)
    own = loops.poller(held.runner, ("api",), grace_s=0.0, stop=stop, threads=2)
    name = f"api@{socket.gethostname()}:{os.getpid()}"
    for loop in (
        relay,
        own,
        loops.expirer(held.runner, held.ports.configuration.rules, stop),
        loops.sealer(store, stop),
        loops.head_exporter(store, held.ports.data_dir / "audit", stop),
        loops.presence(store, name, "api", {"pid": os.getpid()}, stop),
        refusals.loop(held.doors.refusals, store, stop),
        *integrations.loops(held.settings, held.ports.configuration, store, stop),
    ):
        loop.start()

    def stepped(queue: str) -> None:
        (own if queue == "api" else relay).wake.set()

    loops.Listener(dsn, {"stanch_step": stepped, "stanch_incident": held.broadcast.tell}, stop).start()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How the application is put on its socket."""
    refused = app.state.context.doors.refusals.count
    return uvicorn.Config(
        app,
        host=settings.bind_host,
        port=settings.bind_port,
        http=guarded(partial(refused, "connection")),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def serve(settings: Settings) -> int:
    """`stanch serve`: until a signal. Raises UnusableSettings."""
    server = uvicorn.Server(server_config(create(build_context(settings)), settings))
    log.info("ready", process="serve", url=settings.public_url)
    server.run()
    return 0 if server.started else 2
