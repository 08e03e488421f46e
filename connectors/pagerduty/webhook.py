"""PagerDuty's V3 webhook: who signed it, which event it is, what it says about an incident.

Source: developer.pagerduty.com, "Webhooks V3". There is no timestamp in what is signed: replays are found by event.id.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from agent.alert import Alert, AlertGroup
from connectors.alertmanager.webhook import MAX_LABEL_CHARS, identity, in_utc
from connectors.json_document import UnusablePayload, clean, load

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNATURE_HEADER = "x-pagerduty-signature"
MAX_KEY_CHARS = 200
MAX_SIGNATURES = 20
OLDEST = timedelta(hours=50)
"""PagerDuty gives a delivery up after 48 h; what is older is not its repetition but somebody's replay."""

_HEX = re.compile(r"[0-9a-f]{64}")
_FROM_ALERTMANAGER = re.compile(r"\[(?:FIRING|RESOLVED)(?::\d+)?\]\s+([a-zA-Z_][a-zA-Z0-9_]*)")
"""Alertmanager's own template for PagerDuty: `[FIRING:2] SlowCheckout (…)`."""


def signed_by(secret: bytes, body: bytes, header: str) -> bool:
    """Whether one of the header's signatures is this secret's. During a rotation there are several; other versions
    than v1 are passed over. Every one is compared, in constant time.
    """
    made = hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
    good = False
    for part in header.split(",")[:MAX_SIGNATURES]:
        version, _, value = part.strip().partition("=")
        if version == "v1" and _HEX.fullmatch(value):
            good |= hmac.compare_digest(made, value.encode())
    return good


def event_id(body: bytes) -> str | None:
    """The event's own name; None when the body has none, which the intake says more about."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    event = document.get("event") if isinstance(document, dict) else None
    found = event.get("id") if isinstance(event, dict) else None
    if not isinstance(found, str) or not found:
        return None
    if len(found) <= MAX_KEY_CHARS and "\x00" not in found:
        return found
    return "sha256:" + hashlib.sha256(found.encode()).hexdigest()


class _Named(BaseModel):
    """A reference to something of theirs."""

    model_config = ConfigDict(extra="ignore")

    id: str = ""
    summary: str | None = None


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    type: str = ""
    status: str | None = None
    title: str | None = None
    number: int | None = None
    incident_key: str | None = None
    html_url: str | None = None
    urgency: str | None = None
    created_at: AwareDatetime | None = None
    reopened_at: AwareDatetime | None = None
    service: _Named | None = None
    priority: _Named | None = None


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    event_type: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    occurred_at: AwareDatetime
    agent: _Named | None = None
    data: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Heard:
    """One event. incident: PagerDuty's id of the incident it is about; None when it is about none. group: the alert
    that it makes or ends; None for every other event. by: who did it, as PagerDuty shows him.
    """

    event_type: str
    occurred_at: datetime
    by: str | None
    incident: str | None
    status: str | None
    dedup_key: str | None
    html_url: str | None
    group: AlertGroup | None


_FIRING = frozenset({"incident.triggered", "incident.reopened"})
_RESOLVED = frozenset({"incident.resolved"})


def read(body: bytes, source: str, services: Mapping[str, str], titles: Mapping[str, str]) -> Heard:
    """services: PagerDuty's service name or id to ours. titles: an expression over the title to the alert's name.

    Raises UnusablePayload for what is no event; an event of a type that nobody knows is one.
    """
    document = load(body)
    if not isinstance(document, dict) or not isinstance(document.get("event"), dict):
        said = "a V1 or V2 webhook, which PagerDuty ended in 2023" if _is_old(document) else "no V3 event"
        raise UnusablePayload(said)
    try:
        event = _Event.model_validate(document["event"])
        data = _incident_of(event)
    except ValidationError as error:
        first = error.errors()[0]
        where = clean(".".join(map(str, first["loc"])), MAX_KEY_CHARS)
        raise UnusablePayload(f"event.{where}: {first['msg']}") from error
    group = None
    if data is not None and data.type == "incident" and event.event_type in _FIRING | _RESOLVED:
        group = AlertGroup(source, data.id, (_alert(event, data, services, titles),), 0)
    return Heard(
        event_type=event.event_type,
        occurred_at=in_utc(event.occurred_at),
        by=clean(event.agent.summary, MAX_KEY_CHARS) if event.agent and event.agent.summary else None,
        incident=clean(data.id, MAX_KEY_CHARS) if data else None,
        status=data.status if data else None,
        dedup_key=clean(data.incident_key, 255) if data and data.incident_key else None,
        html_url=_link(data.html_url) if data else None,
        group=group,
    )


def _is_old(document: object) -> bool:
    return isinstance(document, dict) and "messages" in document


def _incident_of(event: _Event) -> _Data | None:
    """The incident is the event's data, or for notes, responders and tasks inside it. None for a service's event or a
    ping.
    """
    if not event.event_type.startswith("incident."):
        return None
    inner = event.data.get("incident")
    data = event.data if event.data.get("type") == "incident" or not isinstance(inner, dict) else inner
    return _Data.model_validate(data)


def _alert(event: _Event, data: _Data, services: Mapping[str, str], titles: Mapping[str, str]) -> Alert:
    """One episode of an incident: a reopened one begins anew."""
    status: Literal["firing", "resolved"] = "firing" if event.event_type in _FIRING else "resolved"
    reopened = event.occurred_at if event.event_type == "incident.reopened" else None
    starts_at = data.reopened_at or reopened or data.created_at or event.occurred_at
    title = clean(data.title or "PagerDuty incident", MAX_LABEL_CHARS)
    labels = {
        "alertname": alert_name(title, titles),
        "service": _service(data, services),
        "pagerduty_service": data.service.id if data.service else "",
        "urgency": data.urgency or "",
        "priority": (data.priority.summary if data.priority else None) or "",
    }
    annotations = {"summary": title, "pagerduty_url": _link(data.html_url) or ""}
    return Alert(
        fingerprint=identity(data.id),
        starts_at=in_utc(starts_at),
        status=status,
        labels={key: clean(value, MAX_LABEL_CHARS) for key, value in labels.items() if value},
        annotations={key: clean(value, MAX_LABEL_CHARS) for key, value in annotations.items() if value},
        ends_at=in_utc(event.occurred_at) if status == "resolved" else None,
        generator_url=None,
    )


def alert_name(title: str, titles: Mapping[str, str]) -> str:
    """What the alert is called elsewhere: by the configured expressions, else as Alertmanager writes titles, else the
    title itself. An expression sees the first 1,024 characters, which is what PagerDuty keeps of a summary.
    """
    seen = title[:1024]
    for pattern, template in titles.items():
        found = re.search(pattern, seen)
        if found:
            return found.expand(template)[:MAX_KEY_CHARS]
    found = _FROM_ALERTMANAGER.match(seen)
    return found[1] if found else title[:MAX_KEY_CHARS]


def _service(data: _Data, services: Mapping[str, str]) -> str:
    if data.service is None:
        return ""
    name = data.service.summary or ""
    return services.get(name) or services.get(data.service.id) or name


def _link(url: str | None) -> str | None:
    """Shown, never fetched. Only what a browser may open."""
    if url is None or not url.startswith(("https://", "http://")):
        return None
    return clean(url, 2_000)


def is_too_old(heard: Heard, now: datetime) -> bool:
    return now.astimezone(UTC) - heard.occurred_at > OLDEST
