"""A JSON webhook that nobody wrote a connector for: a small declared mapping says where it says what."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

from agent.alert import Alert, AlertGroup
from connectors.alertmanager.webhook import MAX_LABEL_CHARS, identity, in_utc
from connectors.json_document import UnusablePayload, clean, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ALERTS = 10_000
_MILLISECONDS = 1e11
"""Epoch numbers above this are milliseconds: as seconds they would be after the year 5000."""


class Mapped(Protocol):
    """What stanch.yaml declares: paths of keys divided by dots; see service.configuration.JsonMapping."""

    @property
    def alerts(self) -> str | None: ...
    @property
    def alertname(self) -> str: ...
    @property
    def status(self) -> str | None: ...
    @property
    def firing(self) -> Sequence[str]: ...
    @property
    def resolved(self) -> Sequence[str]: ...
    @property
    def id(self) -> str | None: ...
    @property
    def starts_at(self) -> str | None: ...
    @property
    def summary(self) -> str | None: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def fixed_labels(self) -> Mapping[str, str]: ...


def read(body: bytes, source: str, mapping: Mapped, received_at: datetime) -> AlertGroup:
    """Raises UnusablePayload naming the path that does not lead anywhere."""
    document = load(body)
    rows = _at(document, mapping.alerts) if mapping.alerts else [document]
    if not isinstance(rows, list) or not rows:
        raise UnusablePayload(f"{mapping.alerts or 'the body'}: not a list of alerts")
    if len(rows) > MAX_ALERTS:
        raise UnusablePayload(f"{len(rows)} alerts at once, more than {MAX_ALERTS}")
    alerts = tuple(_alert(row, mapping, received_at) for row in rows)
    # No group is named, so alerts of one name from one source are a group.
    return AlertGroup(source, identity(alerts[0].labels["alertname"]), alerts, 0)


def ending(mapping: Mapped, name: str, identity_: str) -> bytes:
    """A body that the mapping reads as the end of an alert of that name. Raises ValueError when it knows no end."""
    if mapping.status is None or not mapping.resolved:
        raise ValueError("the mapping has no status that ends an alert")
    row: dict[str, Any] = {}
    _put(row, mapping.alertname, name)
    if mapping.id:
        _put(row, mapping.id, identity_)
    _put(row, mapping.status, mapping.resolved[0])
    document: dict[str, Any] = row
    if mapping.alerts:
        document = {}
        _put(document, mapping.alerts, [row])
    body = orjson.dumps(document)
    try:
        group = read(body, "test", mapping, datetime.now(UTC))
    except UnusablePayload as error:
        raise ValueError(str(error)) from error
    if group.firing:
        raise ValueError(f"{mapping.resolved[0]!r} is among the words that fire")
    return body


def _put(document: dict[str, Any], path: str, value: object) -> None:
    """Raises ValueError where another path has put a value on the way."""
    *way, last = path.split(".")
    for key in way:
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ValueError(f"{path}: the mapping has another value at {key}")  # noqa: TRY004 about what was declared
    document[last] = value


def _alert(row: Any, mapping: Mapped, received_at: datetime) -> Alert:
    name = _text(row, mapping.alertname)
    if not name:
        raise UnusablePayload(f"{mapping.alertname}: nothing is there, and it is the alert's name")
    labels = {label: _text(row, path) for label, path in mapping.labels.items()}
    labels = {"alertname": name, **{key: value for key, value in labels.items() if value}, **mapping.fixed_labels}
    status = _status(row, mapping)
    given = _text(row, mapping.id) if mapping.id else ""
    fingerprint = given or hashlib.sha256(orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    summary = _text(row, mapping.summary) if mapping.summary else ""
    return Alert(
        fingerprint=identity(fingerprint),
        starts_at=_time(row, mapping.starts_at, received_at) if status == "firing" else received_at,
        status=status,
        labels=labels,
        annotations={"summary": summary} if summary else {},
        ends_at=received_at if status == "resolved" else None,
        generator_url=None,
    )


def _status(row: Any, mapping: Mapped) -> Literal["firing", "resolved"]:
    if mapping.status is None:
        return "firing"
    said = _text(row, mapping.status).casefold()
    if said in {word.casefold() for word in mapping.firing}:
        return "firing"
    if said in {word.casefold() for word in mapping.resolved}:
        return "resolved"
    raise UnusablePayload(f"{mapping.status}: {said[:60]!r} is in neither firing nor resolved of the mapping")


def _time(row: Any, path: str | None, received_at: datetime) -> datetime:
    """When there is no time, or one that nobody can read, it began when it came."""
    value = _at(row, path) if path else None
    try:
        match value:
            case bool():
                return received_at
            case int() | float():
                return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
            case str():
                return in_utc(datetime.fromisoformat(value))
            case _:
                return received_at
    except (ValueError, OverflowError, OSError):
        return received_at


def _text(row: Any, path: str) -> str:
    """A text, number or truth value at the path; anything else, and nothing, is empty."""
    match _at(row, path):
        case str() as value:
            return clean(value, MAX_LABEL_CHARS)
        case bool() as value:
            return "true" if value else "false"
        case int() | float() as value:
            return str(value)
        case _:
            return ""


def _at(value: Any, path: str | None) -> Any:
    """None where the path leads nowhere. A number steps into a list."""
    for key in (path or "").split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key[:6]) < len(value):
            value = value[int(key[:6])]
        else:
            return None
    return value
