from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.json_document import UnusablePayload
from connectors.pagerduty.memory import Account
from connectors.pagerduty.webhook import OLDEST, alert_name, event_id, is_too_old, read, signed_by

SECRET = b"whsec-new"
BODY = b'{"event": {"id": "01ABC"}}'
GOOD = "v1=" + hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()
OTHER = "v1=" + "0" * 64
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


# --- Signatures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [GOOD, f"{OTHER},{GOOD}", f" {OTHER} , {GOOD} ", f"v2=zz,{GOOD}", f"{GOOD},v9=x"])
def test_one_signature_of_several_is_enough(header: str) -> None:
    assert signed_by(SECRET, BODY, header)


@pytest.mark.parametrize(
    "header",
    ["", "v1", "v1=", OTHER, GOOD.upper(), GOOD[:-1], GOOD[3:], GOOD.replace("v1", "v0"), f"v1={GOOD}", "v1=\u20ac" * 9,
     ",".join([OTHER] * 20 + [GOOD]), "v1=" + "\udc80" * 64, f"{GOOD};{GOOD}"],
)  # fmt: skip
def test_anything_else_is_no_signature(header: str) -> None:
    assert not signed_by(SECRET, BODY, header)


def test_the_body_is_signed_byte_for_byte() -> None:
    assert not signed_by(SECRET, BODY + b"\n", GOOD)
    assert not signed_by(b"another", BODY, GOOD)


@given(st.text(max_size=200), st.binary(max_size=50))
def test_no_header_makes_it_fail(header: str, body: bytes) -> None:
    assert not signed_by(SECRET, body, header)


def test_a_signature_by_hand_is_the_documented_one() -> None:
    """`v1=` and the hexadecimal HMAC-SHA256 of the raw body."""
    made = "v1=" + hmac.digest(b"secret", b"{}", "sha256").hex()
    assert signed_by(b"secret", b"{}", made)


# --- Which event -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"event": 3}', b'{"event": {"id": 7}}', b'{"event": {"id": ""}}', b"[" * 9999, b"\xff"],
)
def test_a_body_without_an_event_has_no_name(body: bytes) -> None:
    assert event_id(body) is None


def test_a_long_or_odd_name_fits_an_index_and_stays_itself() -> None:
    long, odd = json.dumps({"event": {"id": "x" * 5000}}).encode(), b'{"event": {"id": "a\\u0000b"}}'
    names = [event_id(long), event_id(odd), event_id(BODY)]
    assert len(set(names)) == 3
    assert all(name is not None and len(name) < 100 and "\0" not in name for name in names)


# --- What it says ------------------------------------------------------------------------------------------------


def event(kind: str, **data: Any) -> bytes:
    account = Account()
    account.add("PGR0VU2")
    return account.event(kind, "PGR0VU2", at=NOW, **data)


def heard(body: bytes, services: dict[str, str] | None = None, titles: dict[str, str] | None = None) -> Any:
    return read(body, "pagerduty", services or {}, titles or {})


def test_a_triggered_incident_is_an_alert() -> None:
    found = heard(event("incident.triggered"), {"Checkout": "checkout"})
    assert (found.incident, found.status, found.by, found.dedup_key) == ("PGR0VU2", "triggered", "Ada", "a-dedup-key")
    (alert,) = found.group.firing
    assert alert.labels == {
        "alertname": "SlowCheckout", "service": "checkout", "pagerduty_service": "PSVC", "urgency": "high",
        "priority": "P1",
    }  # fmt: skip
    assert alert.annotations["pagerduty_url"] == "https://acme.pagerduty.com/incidents/PGR0VU2"
    assert (found.group.key, alert.fingerprint) == ("PGR0VU2", "PGR0VU2")
    assert alert.starts_at == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_resolved_incident_ends_its_alert_when_it_was_resolved() -> None:
    (alert,) = heard(event("incident.resolved")).group.resolved
    assert alert.ends_at == NOW


def test_a_reopened_incident_begins_anew() -> None:
    (with_time,) = heard(event("incident.reopened", reopened_at="2026-11-21T12:29:00Z")).group.firing
    assert with_time.starts_at == datetime(2026, 11, 21, 12, 29, tzinfo=UTC)
    (without,) = heard(event("incident.reopened")).group.firing
    assert without.starts_at == NOW


@pytest.mark.parametrize(
    "kind",
    ["acknowledged", "unacknowledged", "reassigned", "delegated", "escalated", "priority_updated", "service_updated",
     "incident_type.changed", "role.assigned", "custom_field_values.updated", "something.nobody.knows"],
)  # fmt: skip
def test_every_other_event_of_an_incident_names_it_and_makes_no_alert(kind: str) -> None:
    found = heard(event(f"incident.{kind}"))
    assert (found.incident, found.group) == ("PGR0VU2", None)


def test_a_note_names_the_incident_inside() -> None:
    note = {"id": "PNOTE", "type": "incident_note", "content": "x", "incident": {"id": "PGR0VU2", "type": "incident"}}
    body = json.loads(event("incident.annotated"))
    body["event"]["data"] = note
    found = heard(json.dumps(body).encode())
    assert (found.incident, found.group) == ("PGR0VU2", None)


@pytest.mark.parametrize("kind", ["pagey.ping", "service.updated", "nobody.knows.this"])
def test_an_event_that_is_about_no_incident_is_still_one(kind: str) -> None:
    found = heard(Account().event(kind, message="Hello from your friend Pagey!", at=NOW))
    assert (found.event_type, found.incident, found.group) == (kind, None, None)


@pytest.mark.parametrize(
    ("title", "titles", "name"),
    [
        ("[FIRING:2] SlowCheckout (checkout page)", {}, "SlowCheckout"),
        ("[FIRING] SlowCheckout", {}, "SlowCheckout"),
        ("A little bump in the road", {}, "A little bump in the road"),
        ("DB: orders slow", {r"^DB: (\w+) slow": r"Slow_\1"}, "Slow_orders"),
        ("[FIRING:2] SlowCheckout", {"Slow": "Mine"}, "Mine"),
        ("x" * 5000, {}, "x" * 200),
        ("y" * 5000 + "z", {"z$": "never seen"}, "y" * 200),
    ],
)
def test_an_alert_is_called_as_it_is_elsewhere(title: str, titles: dict[str, str], name: str) -> None:
    assert alert_name(title, titles) == name


def test_a_link_that_no_browser_should_open_is_left_out() -> None:
    found = heard(event("incident.triggered", html_url="javascript:alert(1)"))
    assert found.html_url is None
    assert "pagerduty_url" not in found.group.firing[0].annotations


def test_hostile_text_is_carried_as_text() -> None:
    title = "'; DROP TABLE x; -- <script>\u202e\0"
    alert = heard(event("incident.triggered", title=title)).group.firing[0]
    assert alert.annotations["summary"] == title.replace("\0", "\ufffd")


def test_what_is_older_than_any_repetition_is_a_replay() -> None:
    found = heard(event("incident.triggered"))
    assert not is_too_old(found, NOW + OLDEST - timedelta(minutes=1))
    assert is_too_old(found, NOW + OLDEST + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{}", "no V3 event"),
        (b'{"messages": [{"type": "incident.acknowledge"}]}', "V1 or V2"),
        (b'{"event": {"id": "x"}}', "event.event_type"),
        (b'{"event": {"id": "x", "event_type": "a", "occurred_at": "soon"}}', "event.occurred_at"),
        (b'{"event": {"id": "x", "event_type": "incident.triggered", "occurred_at": "2026-11-21T12:00:00Z"}}', "id"),
        (b'{"event": {"id": "x", "id": "y"}}', "stands twice"),
        (b"not json", "not JSON"),
    ],
)
def test_what_is_no_event_is_refused_with_its_reason(body: bytes, says: str) -> None:
    with pytest.raises(UnusablePayload, match=says):
        heard(body)
