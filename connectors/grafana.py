"""Grafana unified alerting: the webhook contact point's notification. Alertmanager's shape, with its own version.

Source: grafana.com/docs, "Configure webhook notifications": Bearer, or HMAC-SHA256 in X-Grafana-Alerting-Signature of
the body or, with a timestamp header, of `<timestamp>:<body>`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from connectors.alertmanager.webhook import group_of
from connectors.json_document import UnusablePayload, load

if TYPE_CHECKING:
    from agent.alert import AlertGroup

VERSION = "1"
SIGNATURE_HEADER = "x-grafana-alerting-signature"
TIMESTAMP_HEADER = "x-grafana-alerting-timestamp"
MAX_AGE_S = 300.0


def read(body: bytes, source: str) -> AlertGroup:
    """Raises UnusablePayload with the reason."""
    document = load(body)
    if not isinstance(document, dict):
        raise UnusablePayload("not a JSON object")
    if "evalMatches" in document or "ruleId" in document:
        raise UnusablePayload(
            "the payload of Grafana's legacy alerting, which Grafana 11 removed: use unified alerting"
        )
    version = document.get("version")
    if version != VERSION:
        said = repr(version[:20]) if isinstance(version, str) else f"a {type(version).__name__}"
        raise UnusablePayload(f"version is {said}, not {VERSION!r}")
    return group_of(document, source)


def signed_by(secret: bytes, body: bytes, signature: str, *, stamp: str | None, now_s: float) -> bool:
    """Constant time. stamp: the timestamp header, None when the contact point sends none; an old one is refused."""
    if stamp is not None:
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):  # noqa: PLR2004 seconds until the year 33658
            return False
        if abs(now_s - int(stamp)) > MAX_AGE_S:
            return False
        body = stamp.encode() + b":" + body
    made = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(made.encode(), signature.strip().lower().encode("utf-8", "surrogateescape"))
