"""POST /webhooks/alertmanager."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from service.context import Held
from service.routes.webhooks.door import ANSWERS, bearer, json_body, receive

router = APIRouter()
EXAMPLE = {"version": "4", "groupKey": '{}:{alertname="SlowCheckout"}', "alerts": []}


@router.post(
    "/alertmanager",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("Alertmanager's webhook payload, version 4", EXAMPLE),
)
async def alertmanager(request: Request, held: Held) -> Response:
    """Alertmanager payload version 4, Bearer token. 202 once it is stored; 503 asks Alertmanager to try again."""
    return await receive(request, held, bearer(request, held, "alertmanager"))
