"""Slack over HTTP: the guard, then an acknowledgement; everything else comes after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse

from connectors.slack.guard import MAX_BODY_BYTES, Turned
from service.routes.webhooks.door import held_by, read_body, refuse
from service.slack.enabled import WHAT_TO_SET

if TYPE_CHECKING:
    from service.slack.channel import Channel

router = APIRouter(prefix="/slack", tags=["slack"])
log = structlog.get_logger()


@router.post("/interactivity")
async def interactivity(request: Request) -> Response:
    """Buttons and modals. 200 within Slack's three seconds, whatever the store does; 404 when Slack is not set up."""
    return await _take(request)


@router.post("/commands")
async def commands(request: Request) -> Response:
    """The slash command /stanch."""
    return await _take(request)


async def _take(request: Request) -> Response:
    channel: Channel | None = getattr(request.app.state, "slack", None)
    if channel is None or channel.guard is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, WHAT_TO_SET)
    held = held_by(request)
    body = await read_body(request, held, MAX_BODY_BYTES)
    headers = {name: value for name, value in request.headers.items() if request.headers.getlist(name) == [value]}
    checked = channel.check(headers, body)
    if isinstance(checked, Turned):
        log.warning("slack request turned away", why=checked.why, path=request.url.path)
        refuse(request, held, checked.why)
        return JSONResponse({"detail": "not taken"}, checked.status)
    try:
        answer = await channel.take(checked, headers.get("content-type", ""))
    except Exception as error:  # noqa: BLE001 the boundary: signed, and still nothing the library can read
        log.warning("slack request not understood", error=type(error).__name__)
        refuse(request, held, "signed, and not understood")
        return JSONResponse({"detail": "not understood"}, status.HTTP_400_BAD_REQUEST)
    first = {name: values[0] for name, values in answer.headers.items() if name.lower() == "content-type" and values}
    code = answer.status if answer.status < status.HTTP_500_INTERNAL_SERVER_ERROR else status.HTTP_400_BAD_REQUEST
    return Response(answer.body, code, first)
