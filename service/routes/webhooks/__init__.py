"""The hooks: check who sends, keep the bytes, answer after COMMIT. Everything else is the intake step's."""

from __future__ import annotations

from fastapi import APIRouter

from service.routes.webhooks import alertmanager, changes, generic, grafana, pagerduty
from service.routes.webhooks.door import MAX_BODY_BYTES

__all__ = ["MAX_BODY_BYTES", "router"]

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
for noun in (alertmanager, pagerduty, grafana, generic, changes):
    router.include_router(noun.router)
