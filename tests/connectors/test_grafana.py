from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from connectors.grafana import MAX_AGE_S, read, signed_by
from connectors.json_document import UnusablePayload

SECRET, NOW = b"grafana-secret", 1_800_000_000.0


def body(**changes: Any) -> bytes:
    """As Grafana 12 sends it."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "SlowCheckout", "service": "checkout", "grafana_folder": "Shop"},
        "annotations": {"summary": "p99 is over 1 s"},
        "startsAt": "2026-11-21T12:00:00.5+01:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://grafana.example.com/alerting/1afz29v7z/edit",
        "fingerprint": "c6eadffa33fcdf37",
        "silenceURL": "https://grafana.example.com/alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"B": 44.23, "C": 1},
        "valueString": "[ var='B' labels={} value=44.23 ]",
    }
    whole = {
        "receiver": "Stanch", "status": "firing", "orgId": 1, "alerts": [alert], "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "https://grafana.example.com/", "version": "1",
        "groupKey": '{}/{}:{alertname="SlowCheckout"}', "truncatedAlerts": 0, "title": "[FIRING:1]",
        "state": "alerting", "message": "**Firing**",
    }  # fmt: skip
    return json.dumps({**whole, **changes}).encode()


def test_a_notification_is_a_group_of_its_source() -> None:
    group = read(body(), "grafana-eu")
    assert (group.source, len(group.firing)) == ("grafana-eu", 1)
    assert group.alerts[0].labels["service"] == "checkout"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (body(version="4"), "version is '4'"),
        (body(alerts=[]), "alerts"),
        (b'{"ruleId": 1, "ruleName": "Load", "state": "alerting", "evalMatches": []}', "legacy"),
        (b"[]", "not a JSON object"),
    ],
)
def test_anything_else_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(UnusablePayload, match=says):
        read(payload, "grafana")


def made(stamp: str | None = None) -> str:
    text = b"{}" if stamp is None else stamp.encode() + b":{}"
    return hmac.new(SECRET, text, hashlib.sha256).hexdigest()


def test_a_signature_holds_for_its_body_and_its_time() -> None:
    assert signed_by(SECRET, b"{}", made(), stamp=None, now_s=NOW)
    stamp = str(int(NOW))
    assert signed_by(SECRET, b"{}", made(stamp), stamp=stamp, now_s=NOW + MAX_AGE_S - 1)
    assert not signed_by(SECRET, b"{}", made(stamp), stamp=stamp, now_s=NOW + MAX_AGE_S + 1)
    assert not signed_by(SECRET, b"{} ", made(), stamp=None, now_s=NOW)
    assert not signed_by(SECRET, b"{}", made(), stamp=stamp, now_s=NOW)


@pytest.mark.parametrize("stamp", ["", "abc", "1e9", "-1", "9" * 40, "\u0661"])
def test_an_odd_time_is_refused(stamp: str) -> None:
    assert not signed_by(SECRET, b"{}", made(), stamp=stamp, now_s=NOW)


@pytest.mark.parametrize("signature", ["", "zz", "\u20ac", "\udc80", "0" * 64])
def test_an_odd_signature_is_refused(signature: str) -> None:
    assert not signed_by(SECRET, b"{}", signature, stamp=None, now_s=NOW)
