"""An alert as its source tells it, and the group it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """fingerprint and starts_at name one episode. ends_at: None while it fires. Labels are hostile text."""

    fingerprint: str
    starts_at: datetime
    status: Literal["firing", "resolved"]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: datetime | None
    generator_url: str | None


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """What one notification carried. key: the same for every notification of the group. truncated: left out by the
    source, so an alert that is missing here says nothing.
    """

    source: str
    key: str
    alerts: tuple[Alert, ...]
    truncated: int

    @property
    def firing(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.status == "firing")

    @property
    def resolved(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.status == "resolved")
