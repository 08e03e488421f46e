"""PagerDuty without PagerDuty, strictly by its documented wire facts: for tests.

`Account` holds incidents, notes and subscriptions; `transport()` lets the real client talk to it over HTTP, refused,
limited and broken as the real one does; `event()` is what it would post to a webhook, signed.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_NOTES = 2_000
ME = "PSTANCH"
Answer = httpx.Response


@dataclass
class TheirIncident:
    """As PagerDuty has it. acknowledgers: ids of users."""

    id: str
    title: str = "[FIRING:1] SlowCheckout (checkout page)"
    status: str = "triggered"
    acknowledgers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resolution: str | None = None
    service: str = "Checkout"
    dedup_key: str = "a-dedup-key"
    created_at: datetime = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    reopened_at: datetime | None = None
    reopened: int = 0


@dataclass
class Account:
    """token, sender: what a request must carry. refusals: answers to give to the next requests instead of the work;
    `lost`: the work is done and the answer is not heard. log: what was asked, without the reads when told so.
    """

    token: str = "rest-token"  # noqa: S105 of a fake
    sender: str = "stanch@example.com"
    routing_key: str = "r" * 32
    secrets: tuple[str, ...] = ("whsec-new", "whsec-old")
    incidents: dict[str, TheirIncident] = field(default_factory=dict)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[Answer | httpx.TransportError | Literal["lost"]] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    pinged: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def add(self, id_: str, **changes: Any) -> TheirIncident:
        self.incidents[id_] = TheirIncident(id_, **changes)
        return self.incidents[id_]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.log if method != "GET"]

    # --- REST v2 and Events v2 ---------------------------------------------------------------------------------------

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> Answer:
        next_ = self.refusals.pop(0) if self.refusals else None
        if isinstance(next_, httpx.TransportError):
            raise next_
        if isinstance(next_, httpx.Response):
            return next_
        answer = self._event_api(request) if request.url.path == "/v2/enqueue" else self._rest(request)
        if next_ == "lost":
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return answer

    def _rest(self, request: httpx.Request) -> Answer:
        path = request.url.path
        if request.headers.get("authorization") != f"Token token={self.token}":
            return Answer(401, json={"error": {"message": "Unauthorized", "code": 2006}})
        if "application/vnd.pagerduty+json;version=2" not in request.headers.get("accept", ""):
            return Answer(400, json={"error": {"message": "Unsupported API version", "code": 2001}})
        self.log.append((request.method, path))
        found: Callable[..., Answer] | None = None
        for (method, pattern), handler in self._routes().items():
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                found, groups = handler, match.groups()
                break
        if found is None:
            return Answer(404, json={"error": {"message": "Not Found", "code": 2100}})
        if request.method != "GET" and not path.endswith("/ping") and request.headers.get("from") != self.sender:
            return Answer(400, json={"error": {"message": "Requester User Not Found", "code": 1008}})
        return found(json.loads(request.content) if request.content else {}, *groups)

    def _routes(self) -> Mapping[tuple[str, str], Callable[..., Answer]]:
        return {
            ("GET", "/incidents"): lambda _: Answer(200, json={"incidents": [], "more": False}),
            ("GET", r"/incidents/(\w+)"): lambda _, id_: self._of(id_, self._shown),
            ("PUT", r"/incidents/(\w+)"): lambda body, id_: self._of(id_, lambda one: self._put(one, body)),
            ("GET", r"/incidents/(\w+)/notes"): lambda _, id_: self._of(id_, _notes),
            ("POST", r"/incidents/(\w+)/notes"): lambda body, id_: self._of(id_, lambda one: _add_note(one, body)),
            ("GET", "/webhook_subscriptions"): lambda _: Answer(
                200, json={"webhook_subscriptions": self.subscriptions, "more": False}
            ),
            ("POST", r"/webhook_subscriptions/(\w+)/ping"): lambda _, id_: self._ping(id_),
        }

    def _of(self, id_: str, then: Callable[[TheirIncident], Answer]) -> Answer:
        one = self.incidents.get(id_)
        return then(one) if one else Answer(404, json={"error": {"message": "Incident Not Found", "code": 2100}})

    def _shown(self, one: TheirIncident) -> Answer:
        by = [{"acknowledger": {"id": who, "type": "user_reference"}} for who in one.acknowledgers]
        row = {"id": one.id, "type": "incident", "status": one.status, "title": one.title, "acknowledgements": by}
        return Answer(200, json={"incident": row})

    def _put(self, one: TheirIncident, body: dict[str, Any]) -> Answer:
        """A status set on a resolved incident reopens it: nothing here protects from that."""
        wanted = body["incident"]
        if wanted["type"] != "incident_reference":
            return Answer(400, json={"error": {"message": "Invalid Input Provided", "code": 2001}})
        if one.status == "resolved" and wanted["status"] != "resolved":
            one.reopened += 1
        one.status = wanted["status"]
        match one.status:
            case "acknowledged":
                one.acknowledgers = [*(who for who in one.acknowledgers if who != ME), ME]
            case "triggered":
                one.acknowledgers = []
            case "resolved":
                one.acknowledgers, one.resolution = [], wanted.get("resolution")
        return self._shown(one)

    def _ping(self, id_: str) -> Answer:
        self.pinged.append(id_)
        return Answer(202)

    def _event_api(self, request: httpx.Request) -> Answer:
        body = json.loads(request.content)
        self.log.append((body.get("event_action", ""), body.get("dedup_key", "")))
        if body.get("routing_key") != self.routing_key or len(body.get("dedup_key", "")) > 255:  # noqa: PLR2004 documented
            return Answer(400, json={"status": "invalid event", "errors": ["'routing_key' is invalid"]})
        for one in self.incidents.values():
            # Unknown keys, and what is over, are dropped in silence.
            if one.dedup_key == body["dedup_key"] and one.status != "resolved":
                one.status = "acknowledged" if body["event_action"] == "acknowledge" else "resolved"
        return Answer(202, json={"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]})

    # --- Webhooks V3 -------------------------------------------------------------------------------------------------

    def event(self, kind: str, incident: str = "", *, at: datetime | None = None, **data: Any) -> bytes:
        """The body of one event."""
        at = at or datetime.now(UTC)
        event = {
            "id": f"01EVENT{next(self.numbers):019d}",
            "event_type": kind,
            "resource_type": kind.partition(".")[0],
            "occurred_at": at.isoformat(),
            "agent": {"id": "PADA", "summary": "Ada", "type": "user_reference"},
            "client": None,
            "data": {**self._data(incident), **data},
        }
        return json.dumps({"event": event}).encode()

    def _data(self, id_: str) -> dict[str, Any]:
        one = self.incidents.get(id_)
        if one is None:
            return {}
        return {
            "id": one.id,
            "type": "incident",
            "status": one.status,
            "title": one.title,
            "incident_key": one.dedup_key,
            "html_url": f"https://acme.pagerduty.com/incidents/{one.id}",
            "created_at": one.created_at.isoformat(),
            "reopened_at": one.reopened_at.isoformat() if one.reopened_at else None,
            "urgency": "high",
            "priority": {"id": "PP1", "summary": "P1", "type": "priority_reference"},
            "service": {"id": "PSVC", "summary": one.service, "type": "service_reference"},
        }

    def headers(self, body: bytes, *, delivery: str | None = None) -> dict[str, str]:
        """As they come with it during a rotation: a signature of each secret."""
        made = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in self.secrets]
        return {
            "X-PagerDuty-Signature": ",".join(f"v1={one}" for one in made),
            "X-Webhook-Id": delivery or f"delivery-{next(self.numbers)}",
            "X-Webhook-Subscription": "PSUB",
            "User-Agent": "PagerDuty-Webhook/V3.0",
            "Content-Type": "application/json",
        }


def limited(after_s: int) -> Answer:
    """429, as documented."""
    headers = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": str(after_s)}
    return Answer(429, headers=headers, json={"error": {"message": "Rate Limit Exceeded", "code": 2020}})


def _notes(one: TheirIncident) -> Answer:
    return Answer(200, json={"notes": [{"id": f"N{n}", "content": text} for n, text in enumerate(one.notes)]})


def _add_note(one: TheirIncident, body: dict[str, Any]) -> Answer:
    if len(one.notes) >= MOST_NOTES:
        return Answer(400, json={"error": {"message": "Invalid Input Provided", "code": 2001}})
    one.notes.append(body["note"]["content"])
    return Answer(200, json={"note": {"id": f"N{len(one.notes)}", "content": one.notes[-1]}})
