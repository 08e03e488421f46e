"""The hooks: check who sends, keep the bytes, answer after COMMIT. Everything else is the intake step's."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from agent.machine import Step
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from service.context import Context, Held

if TYPE_CHECKING:
    from collections.abc import Iterable

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
log = structlog.get_logger()

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_DIGITS = 20
KEPT_HEADERS = ("user-agent", "content-type", "x-webhook-id")


@router.post("/alertmanager", status_code=status.HTTP_202_ACCEPTED)
async def alertmanager(request: Request, held: Held) -> Response:
    """Alertmanager payload version 4, Bearer token. 202 once it is stored; 503 asks Alertmanager to try again."""
    _authenticate(request, held.settings.alertmanager_token_list)
    return await _receive(request, held, "alertmanager")


@router.post("/changes", status_code=status.HTTP_202_ACCEPTED)
async def changes(request: Request, held: Held) -> Response:
    """A deploy: {"service", "version"?, "summary"?, "at"?} or a list of them. The same tokens as Alertmanager's."""
    _authenticate(request, held.settings.alertmanager_token_list)
    return await _receive(request, held, "changes")


def _authenticate(request: Request, tokens: Iterable[str]) -> None:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    given = sent.strip().encode("utf-8", "surrogateescape")
    good = [hmac.compare_digest(token.encode(), given) for token in tokens]
    if scheme.lower() != "bearer" or not any(good):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "wrong or missing token", {"WWW-Authenticate": "Bearer"})


async def _receive(request: Request, held: Context, source: str) -> Response:
    body = await _body(request)
    headers = {name: request.headers[name][:500] for name in KEPT_HEADERS if name in request.headers}
    try:
        receipt = await run_in_threadpool(_store, held, source, headers, body)
    except Unreachable as error:
        log.warning("hook not stored", source=source, error=str(error))
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "not stored, send it again") from error
    return JSONResponse({"receipt": receipt}, status.HTTP_202_ACCEPTED)


async def _body(request: Request) -> bytes:
    """The raw bytes, refused as soon as they are too many."""
    declared = request.headers.get("content-length", "")
    too_large = HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes")
    # More digits than that are not a number Python reads, and too large anyway.
    if declared.isascii() and declared.isdigit() and (len(declared) > MAX_DIGITS or int(declared) > MAX_BODY_BYTES):
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _store(held: Context, source: str, headers: dict[str, str], body: bytes) -> str:
    with held.ports.store.transaction() as tx:
        row = tx.one("store_inbox", source=source, headers=jsonb(headers), body=body)
        if row is None:
            raise Unreachable("store", "the body was not stored")
        tx.add_step(None, Step("intake", "agent", {"inbox": row["id"]}))
    return str(row["receipt"])
