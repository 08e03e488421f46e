"""What every hook does: read a bounded body in bounded time, store it, answer.

202 after the commit. 503 asks the sender to come again: Alertmanager and PagerDuty both retry it, and Alertmanager
retries nothing else. What is turned away is counted for the audit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, HTTPException, Request, Response, status
from starlette.requests import ClientDisconnect

from connectors.store.inbox import Delivery, Full
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.configuration import HookKind
    from service.context import Context
    from service.hooks import Hook

log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])
"""One for all the hooks: each level of routers costs every request its share."""

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_DIGITS = 20
BODY_WITHIN_S = 10.0
KEPT_HEADERS = frozenset({b"user-agent", b"content-type", b"x-webhook-id", b"x-webhook-subscription"})
MAX_HEADER_CHARS = 500

ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "The token or signature is wrong or missing."},
    404: {"description": "The hook is not configured; the answer says what to set."},
    408: {"description": "The body did not come in time."},
    413: {"description": "The body is too large."},
    415: {"description": "The body is compressed; send it as it is."},
    503: {"description": "Not stored, or too much at once: send it again later."},
}


def json_body(description: str, example: Any) -> dict[str, Any]:
    """For the OpenAPI document: the body is read raw, so FastAPI cannot see what it is."""
    content = {"application/json": {"schema": {"description": description}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def held_by(request: Request) -> Context:
    """Not as a dependency: FastAPI takes longer to solve one than all of a hook's own work."""
    held: Context = request.app.state.context
    return held


def opened(request: Request, held: Context, kind: HookKind) -> Hook:
    """Raises 404 for a hook that is not configured."""
    hook = held.doors.hooks.get(kind)
    if hook is None or not hook.secrets:
        refuse(request, held, f"/webhooks/{kind} is off")
        raise HTTPException(status.HTTP_404_NOT_FOUND, hook.off() if hook else "this hook is off")
    return hook


def bearer(request: Request, held: Context, kind: HookKind) -> str:
    """The source whose token was sent. Raises 401, 404."""
    source = opened(request, held, kind).source_of_bearer(request.headers.get("authorization", ""))
    if source is None:
        raise unauthorised(request, held, "wrong or missing token")
    return source


def unauthorised(request: Request, held: Context, why: str) -> HTTPException:
    refuse(request, held, why)
    return HTTPException(status.HTTP_401_UNAUTHORIZED, why, {"WWW-Authenticate": "Bearer"})


def refuse(request: Request, held: Context, why: str) -> None:
    """Counted; the audit gets it within seconds, in one row for many."""
    sender = request.client.host if request.client else "unknown"
    held.doors.refusals.count(request.url.path[:100], why, sender)


async def receive(request: Request, held: Context, source: str) -> Response:
    """For a sender that is known: the rest of the way."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        refuse(request, held, "compressed")
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "send it without Content-Encoding")
    body = await read_body(request, held)
    return await store(request, held, Delivery(source, kept_headers(request), body))


def kept_headers(request: Request) -> Mapping[str, str]:
    """Of a header sent twice, the first."""
    kept: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        if name in KEPT_HEADERS:
            kept.setdefault(name.decode("latin-1"), value.decode("latin-1")[:MAX_HEADER_CHARS])
    return kept


async def store(request: Request, held: Context, delivery: Delivery) -> Response:
    """202 with the receipt, 503 with the wish to hear it again."""
    if not held.doors.budgets.spend(delivery.source):
        refuse(request, held, "more than posts_per_s")
        return _later("too many at once")
    try:
        receipt = await held.doors.inbox.take(delivery)
    except Full:
        refuse(request, held, "more than is stored in time")
        return _later("too many at once")
    except Unreachable as error:
        log.warning("hook not stored", source=delivery.source, error=str(error))
        return _later("not stored, send it again")
    if receipt.again:
        refuse(request, held, "a repetition of an event that is stored")
    said = f'{{"receipt":"{receipt.id}"}}'
    return Response(said, status.HTTP_202_ACCEPTED, media_type="application/json")


def _later(why: str) -> Response:
    said = f'{{"detail":"{why}"}}'
    return Response(said, status.HTTP_503_SERVICE_UNAVAILABLE, {"Retry-After": "1"}, "application/json")


async def read_body(request: Request, held: Context, most_bytes: int = MAX_BODY_BYTES,
                    within_s: float = BODY_WITHIN_S) -> bytes:  # fmt: skip
    """The raw bytes, refused as soon as they are too many or too late."""
    declared = request.headers.get("content-length", "")
    # More digits than that are not a number Python reads, and too large anyway.
    if declared.isascii() and declared.isdigit() and (len(declared) > MAX_DIGITS or int(declared) > most_bytes):
        raise _too_large(request, held, most_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise _too_large(request, held, most_bytes)
                parts.append(part)
    except TimeoutError:
        refuse(request, held, "the body came too slowly")
        raise HTTPException(status.HTTP_408_REQUEST_TIMEOUT, "too slow", {"Connection": "close"}) from None
    except ClientDisconnect:
        refuse(request, held, "hung up within the body")
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "hung up within the body") from None
    return b"".join(parts)


def _too_large(request: Request, held: Context, most_bytes: int) -> HTTPException:
    refuse(request, held, "too large")
    # What is left of the body is not read, so this connection is of no more use.
    return HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"at most {most_bytes} bytes", {"Connection": "close"})
