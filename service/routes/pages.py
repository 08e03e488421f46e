"""The pages: server-rendered, readable and approvable without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter, Request, status
from fastapi.responses import HTMLResponse, Response

router = APIRouter(tags=["pages"], include_in_schema=False)


def store_away(request: Request, text: str) -> Response:  # noqa: ARG001 the page gets its frame from the request
    """503 that says so. text is for the log, never for the page: it may name hosts."""
    return HTMLResponse(
        "<!doctype html><title>Stanch</title><p>The store does not answer.", status.HTTP_503_SERVICE_UNAVAILABLE
    )
