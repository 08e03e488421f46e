"""Alertmanager's webhook, payload version 4: bytes in, an AlertGroup out.

Unknown keys are let through (0.25 sends ten, 0.34 twelve). Source: prometheus/alertmanager docs/configuration.md.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.alert import Alert, AlertGroup

VERSION = "4"
MAX_LABEL_CHARS = 4_096
_NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""endsAt of a firing alert is 0001-01-01T00:00:00Z."""


class UnusablePayload(ValueError):
    """Not a version 4 payload. It is kept and shown, never answered with an error: the source would send it again
    for ever.
    """


class _WireAlert(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime | None = Field(default=None, alias="endsAt")
    generator_url: str | None = Field(default=None, alias="generatorURL")
    fingerprint: str | None = None


class _WireGroup(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    group_key: str = Field(alias="groupKey", min_length=1)
    truncated: int = Field(default=0, alias="truncatedAlerts")
    alerts: list[_WireAlert] = Field(min_length=1)


def read(body: bytes) -> AlertGroup:
    """Raises UnusablePayload with the reason."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusablePayload(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnusablePayload("not a JSON object")
    version = document.get("version")
    if version != VERSION:
        raise UnusablePayload(f"version {str(version)[:20]!r}, not {VERSION!r}")
    try:
        group = _WireGroup.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusablePayload(f"{where}: {first['msg']}") from error
    return AlertGroup("alertmanager", group.group_key, tuple(_alert(row) for row in group.alerts), group.truncated)


def _alert(row: _WireAlert) -> Alert:
    labels = {_text(key): _text(value) for key, value in row.labels.items()}
    ends_at = _aware(row.ends_at) if row.ends_at else None
    return Alert(
        fingerprint=row.fingerprint or _fingerprint(labels),
        starts_at=_aware(row.starts_at),
        status=row.status,
        labels=labels,
        annotations={_text(key): _text(value) for key, value in row.annotations.items()},
        ends_at=ends_at if ends_at and ends_at > _NEVER else None,
        generator_url=row.generator_url,
    )


def _text(value: str) -> str:
    """Without NUL, which no column takes, and not longer than a page can show."""
    clean = value.replace("\x00", "\ufffd")
    return clean if len(clean) <= MAX_LABEL_CHARS else clean[:MAX_LABEL_CHARS] + "… (cut)"


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _fingerprint(labels: dict[str, str]) -> str:
    """Old payloads carry none: the same labels make the same alert."""
    return hashlib.sha256(orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
