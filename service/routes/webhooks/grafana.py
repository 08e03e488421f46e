"""POST /webhooks/grafana."""

from __future__ import annotations

import time

from fastapi import Request, Response, status

from connectors.grafana import SIGNATURE_HEADER, TIMESTAMP_HEADER, signed_by
from connectors.store.inbox import Delivery
from service.routes.webhooks.door import (
    ANSWERS,
    held_by,
    json_body,
    kept_headers,
    opened,
    read_body,
    receive,
    router,
    store,
    unauthorised,
)

MAX_SIGNED_BYTES = 1024 * 1024
"""Read before anybody knows who sends it."""
EXAMPLE = {"version": "1", "groupKey": "{}:{}", "orgId": 1, "alerts": []}


@router.post(
    "/webhooks/grafana",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("The payload of a webhook contact point of Grafana's unified alerting", EXAMPLE),
)
async def grafana(request: Request) -> Response:
    """A contact point's notification: Bearer token, or the body signed with it (HMAC)."""
    held = held_by(request)
    hook = opened(request, held, "grafana")
    source = hook.source_of_bearer(request.headers.get("authorization", ""))
    if source is not None:
        return await receive(request, held, source)
    signature = request.headers.get(SIGNATURE_HEADER)
    if signature is None:
        raise unauthorised(request, held, "wrong or missing token")
    body = await read_body(request, held, MAX_SIGNED_BYTES)
    stamp = request.headers.get(TIMESTAMP_HEADER)
    good = [one.source for one in hook.secrets if signed_by(one.value, body, signature, stamp=stamp, now_s=time.time())]
    if not good:
        raise unauthorised(request, held, "wrong signature")
    return await store(request, held, Delivery(good[0], kept_headers(request), body))
