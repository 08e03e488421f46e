"""POST /webhooks/pagerduty."""

from __future__ import annotations

from fastapi import Request, Response, status

from connectors.pagerduty.webhook import SIGNATURE_HEADER, event_id, signed_by
from connectors.store.inbox import Delivery
from service.routes.webhooks.door import (
    ANSWERS,
    MAX_HEADER_CHARS,
    held_by,
    json_body,
    kept_headers,
    opened,
    read_body,
    router,
    store,
    unauthorised,
)

MAX_EVENT_BYTES = 1024 * 1024
"""PagerDuty drops events above 256 KB itself."""
EXAMPLE = {"event": {"id": "01ABC", "event_type": "incident.triggered", "data": {"id": "PGR0VU2", "type": "incident"}}}


@router.post(
    "/webhooks/pagerduty",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("A PagerDuty V3 webhook event", EXAMPLE),
)
async def pagerduty(request: Request) -> Response:
    """A V3 event, signed over its raw body. Whatever is validly signed is answered 202: three dropped events would
    switch the subscription off. A repetition gets the first one's receipt.
    """
    held = held_by(request)
    hook = opened(request, held, "pagerduty")
    body = await read_body(request, held, MAX_EVENT_BYTES)
    header = request.headers.get(SIGNATURE_HEADER, "")
    good = [one.source for one in hook.secrets if signed_by(one.value, body, header)]
    if not good:
        raise unauthorised(request, held, "wrong or missing signature")
    delivery_key = request.headers.get("x-webhook-id", "")[:MAX_HEADER_CHARS] or None
    delivery = Delivery(good[0], kept_headers(request), body, event_id(body), delivery_key)
    return await store(request, held, delivery)
