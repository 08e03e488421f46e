"""The hooks: check who sends, keep the bytes, answer after COMMIT. Everything else is the intake step's."""

from __future__ import annotations

from service.routes.webhooks import alertmanager, changes, generic, grafana, pagerduty
from service.routes.webhooks.door import MAX_BODY_BYTES, router

__all__ = ["MAX_BODY_BYTES", "alertmanager", "changes", "generic", "grafana", "pagerduty", "router"]
