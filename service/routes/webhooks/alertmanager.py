"""POST /webhooks/alertmanager."""

from __future__ import annotations

from fastapi import Request, Response, status

from service.routes.webhooks.door import ANSWERS, bearer, held_by, json_body, receive, router

EXAMPLE = {"version": "4", "groupKey": '{}:{alertname="SlowCheckout"}', "alerts": []}


@router.post(
    "/webhooks/alertmanager",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("Alertmanager's webhook payload, version 4", EXAMPLE),
)
async def alertmanager(request: Request) -> Response:
    """Alertmanager payload version 4, Bearer token. 202 once it is stored; 503 asks Alertmanager to try again."""
    held = held_by(request)
    return await receive(request, held, bearer(request, held, "alertmanager"))
