"""POST /webhooks/changes."""

from __future__ import annotations

from fastapi import Request, Response, status

from service.routes.webhooks.door import ANSWERS, bearer, held_by, json_body, receive, router

EXAMPLE = {"service": "checkout", "version": "2.14.0", "summary": "deploy by CI", "at": "2026-11-21T12:00:00Z"}


@router.post(
    "/webhooks/changes",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("One change, a list of them, or Argo CD's application", EXAMPLE),
)
async def changes(request: Request) -> Response:
    """A deploy: {"service", "version"?, "summary"?, "at"?}, a list of them, or what Argo CD sends. Bearer token, one of
    its own or one of Alertmanager's.
    """
    held = held_by(request)
    bearer(request, held, "changes")
    return await receive(request, held, "changes")
