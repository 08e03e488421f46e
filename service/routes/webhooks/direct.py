"""The hooks in front of the framework: what comes in a storm goes past everything that it does not need.

Routing, validation and the middlewares of the pages cost FastAPI more than all of a hook's own work. The hooks stay
declared there too, for the OpenAPI document and for every other method; both ways call the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException, Request
from fastapi.exception_handlers import http_exception_handler

from service.routes.webhooks import alertmanager, changes, generic, grafana, pagerduty

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fastapi import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

HOOKS: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
    "/webhooks/alertmanager": alertmanager.alertmanager,
    "/webhooks/changes": changes.changes,
    "/webhooks/grafana": grafana.grafana,
    "/webhooks/pagerduty": pagerduty.pagerduty,
}
GENERIC = "/webhooks/generic/"


class Direct:
    """Answers a POST at a hook; everything else goes on to the application. headers: of every answer here."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _asked(scope, receive)
        if asked is None:
            await self._app(scope, receive, send)
            return
        request, answering = asked
        try:
            answer = await answering
        except HTTPException as refused:
            answer = await http_exception_handler(request, refused)
        answer.raw_headers.extend(self._headers)
        await answer(scope, receive, send)


def _asked(scope: Scope, receive: Receive) -> tuple[Request, Awaitable[Response]] | None:
    """None: not for a hook, or not in a form that is sure to be one; FastAPI's own routing decides then."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    hook = HOOKS.get(path)
    if hook is not None:
        request = Request(scope, receive)
        return request, hook(request)
    source = path.removeprefix(GENERIC)
    if source == path or not source or "/" in source or len(source) > generic.MAX_SOURCE_CHARS:
        return None
    request = Request(scope, receive)
    return request, generic.generic(request, source)
