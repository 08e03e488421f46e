"""POST /webhooks/changes."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from service.context import Held
from service.routes.webhooks.door import ANSWERS, bearer, json_body, receive

router = APIRouter()
EXAMPLE = {"service": "checkout", "version": "2.14.0", "summary": "deploy by CI", "at": "2026-11-21T12:00:00Z"}


@router.post(
    "/changes",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("One change, a list of them, or Argo CD's application", EXAMPLE),
)
async def changes(request: Request, held: Held) -> Response:
    """A deploy: {"service", "version"?, "summary"?, "at"?}, a list of them, or what Argo CD sends. Bearer token, one of
    its own or one of Alertmanager's.
    """
    bearer(request, held, "changes")
    return await receive(request, held, "changes")
