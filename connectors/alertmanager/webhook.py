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
from connectors.json_document import UnusablePayload, clean, load

VERSION = "4"
MAX_LABEL_CHARS = 4_096
MAX_IDENTITY_CHARS = 512
"""A row of a PostgreSQL index holds 2,704 bytes, and a character takes up to four."""
MAX_COUNT = 2**31 - 1
_NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""endsAt of a firing alert is 0001-01-01T00:00:00Z."""


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
    truncated: int = Field(default=0, alias="truncatedAlerts", ge=0, le=MAX_COUNT)
    alerts: list[_WireAlert] = Field(min_length=1)


def read(body: bytes, source: str = "alertmanager") -> AlertGroup:
    """Raises UnusablePayload with the reason."""
    document = load(body)
    if not isinstance(document, dict):
        raise UnusablePayload("not a JSON object")
    version = document.get("version")
    if version != VERSION:
        # A nested value is named, not shown: its text could be deeper than Python's stack.
        said = repr(version[:20]) if isinstance(version, str) else f"a {type(version).__name__}"
        raise UnusablePayload(f"version is {said}, not {VERSION!r}")
    return group_of(document, source)


def group_of(document: dict[str, Any], source: str) -> AlertGroup:
    """A document in the shape that Alertmanager and Grafana share, whatever its version. Raises UnusablePayload."""
    try:
        group = _WireGroup.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusablePayload(f"{_text(where)[:200]}: {first['msg']}") from error
    try:
        alerts = tuple(_alert(row) for row in group.alerts)
    except OverflowError as error:
        raise UnusablePayload("alerts: a time outside the years 1 to 9999 in UTC") from error
    return AlertGroup(source, identity(group.group_key), alerts, group.truncated)


def _alert(row: _WireAlert) -> Alert:
    labels = {_text(key): _text(value) for key, value in row.labels.items()}
    ends_at = in_utc(row.ends_at) if row.ends_at else None
    return Alert(
        fingerprint=identity(row.fingerprint) if row.fingerprint else fingerprint_of(row.labels),
        starts_at=in_utc(row.starts_at),
        status=row.status,
        labels=labels,
        annotations={_text(key): _text(value) for key, value in row.annotations.items()},
        ends_at=ends_at if ends_at and ends_at > _NEVER else None,
        generator_url=_text(row.generator_url) if row.generator_url is not None else None,
    )


def _text(value: str) -> str:
    return clean(value, MAX_LABEL_CHARS)


def identity(value: str) -> str:
    """A key that a column and its index take. The same value makes the same key, and no other value does."""
    if len(value) <= MAX_IDENTITY_CHARS and "\x00" not in value:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()
    return f"{_text(value[: MAX_IDENTITY_CHARS - 100])} sha256:{digest}"


def in_utc(at: datetime) -> datetime:
    """In UTC. Raises OverflowError where that is before the year 1 or after 9999, which no column gives back."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def fingerprint_of(labels: dict[str, str]) -> str:
    """Old payloads carry none: the same labels make the same alert."""
    return hashlib.sha256(orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
