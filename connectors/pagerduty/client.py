"""PagerDuty's REST API v2 and Events API v2: the few calls that keep an incident in step.

Every call says what it found; nothing is remembered but how long PagerDuty asked us to wait.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx
import orjson

from connectors.json_document import clean
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
WAIT_S = 30.0
"""After a 429 that does not say for how long."""
LONGEST_WAIT_S = 900.0
PAGES = 20

Status = Literal["triggered", "acknowledged", "resolved"]


class Busy(Unreachable):
    """PagerDuty asked us to wait. after_s: for how long."""

    def __init__(self, after_s: float) -> None:
        super().__init__("pagerduty", f"asks us to wait {after_s:.0f} s")
        self.after_s = after_s


class Gone(Unreachable):
    """The incident is not there any more, or was never ours to see."""

    def __init__(self, what: str) -> None:
        super().__init__("pagerduty", f"{what} is not there", permanent=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident as PagerDuty has it. acknowledgers: ids of users, services or integrations."""

    id: str
    status: str
    acknowledgers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook subscription. active: false when somebody switched it off. suspended: PagerDuty did, for 24 h, after
    three events were dropped in a row.
    """

    id: str
    url: str
    active: bool
    suspended: bool


class Address:
    """A base address from the settings: https, or http on this machine for a test."""

    def __init__(self, setting: str, url: str) -> None:
        """Raises ValueError naming the setting."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            raise ValueError(f"{setting} must start with https://")
        self.url = url.rstrip("/")


class Line:
    """One HTTP client with one budget: while PagerDuty wants to be left alone, nothing is sent."""

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str],
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A redirect is never followed: it would carry the token to wherever it points.
        self._http = httpx.Client(
            base_url=address.url, headers=dict(headers), timeout=TIMEOUT_S, follow_redirects=False, transport=transport
        )
        self._clock = clock
        self._quiet_until = 0.0

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer's JSON, None for an empty one. Raises Busy, Gone, Unreachable."""
        wait_s = self._quiet_until - self._clock()
        if wait_s > 0:
            raise Busy(wait_s)
        try:
            with self._http.stream(method, path, **arguments) as response:
                body = _bounded(response)
        except httpx.HTTPError as error:
            raise Unreachable("pagerduty", type(error).__name__) from error
        self._mind(response)
        return self._understood(response, path, body)

    def _mind(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            after_s = _wait_s(response.headers, WAIT_S)
            self._quiet_until = self._clock() + after_s
            raise Busy(after_s)
        if response.headers.get("ratelimit-remaining", "").strip() == "0":
            self._quiet_until = self._clock() + _wait_s(response.headers, 1.0)

    def _understood(self, response: httpx.Response, path: str, body: bytes) -> Any:
        code = response.status_code
        if response.is_redirect:
            raise Unreachable("pagerduty", f"HTTP {code}: redirects are not followed, check the URL", permanent=True)
        if code == httpx.codes.NOT_FOUND:
            raise Gone(path)
        if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise Unreachable("pagerduty", f"HTTP {code}: the token may not do this ({path})", permanent=True)
        if not response.is_success:
            permanent = response.is_client_error and code != httpx.codes.REQUEST_TIMEOUT
            raise Unreachable("pagerduty", f"HTTP {code} for {path}: {_error(body)}", permanent=permanent)
        if not body:
            return None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Unreachable("pagerduty", f"no JSON for {path}") from error


class PagerDuty:
    """REST v2. sender: the e-mail of the PagerDuty user in whose name notes and updates are made."""

    def __init__(
        self,
        url: str,
        token: SecretStr,
        sender: str,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for an address that is not https."""
        headers = {
            "Authorization": f"Token token={token.get_secret_value()}",
            "Accept": "application/vnd.pagerduty+json;version=2",
            "From": sender,
        }
        self._line = Line(Address("PAGERDUTY_API_URL", url), headers, transport=transport, clock=clock)

    def close(self) -> None:
        self._line.close()

    def incident(self, id_: str) -> Seen:
        """Raises Busy, Gone, Unreachable, as all of these do."""
        return _seen(self._line.ask("GET", f"/incidents/{_segment(id_)}"))

    def set_status(self, id_: str, status: Status, *, resolution: str | None = None) -> Seen:
        """Look at the incident first: a status set on a resolved one reopens it."""
        wanted: dict[str, Any] = {"type": "incident_reference", "status": status}
        if resolution and status == "resolved":
            wanted["resolution"] = resolution
        return _seen(self._line.ask("PUT", f"/incidents/{_segment(id_)}", json={"incident": wanted}))

    def notes(self, id_: str) -> tuple[str, ...]:
        answer = self._line.ask("GET", f"/incidents/{_segment(id_)}/notes")
        rows = answer.get("notes", []) if isinstance(answer, dict) else []
        return tuple(str(row.get("content", "")) for row in rows if isinstance(row, dict))

    def add_note(self, id_: str, text: str) -> None:
        self._line.ask("POST", f"/incidents/{_segment(id_)}/notes", json={"note": {"content": text}})

    def reach(self) -> None:
        """The cheapest question that needs the token's right to read incidents."""
        self._line.ask("GET", "/incidents", params={"limit": 1})

    def subscriptions(self) -> tuple[Subscription, ...]:
        found: list[Subscription] = []
        for page in range(PAGES):
            answer = self._line.ask("GET", "/webhook_subscriptions", params={"limit": 100, "offset": 100 * page})
            rows = answer.get("webhook_subscriptions", []) if isinstance(answer, dict) else []
            found += [_subscription(row) for row in rows if isinstance(row, dict)]
            if not isinstance(answer, dict) or not answer.get("more"):
                break
        return tuple(found)

    def subscription_to(self, url: str) -> Subscription | None:
        """The one that posts to this address; a live one first. None: nobody made it."""
        there = [one for one in self.subscriptions() if one.url.rstrip("/") == url.rstrip("/")]
        return min(there, key=lambda one: (not one.active, one.suspended), default=None)

    def ping(self, subscription_id: str) -> None:
        """PagerDuty sends a `pagey.ping` event to the subscription's address."""
        self._line.ask("POST", f"/webhook_subscriptions/{_segment(subscription_id)}/ping")


class Events:
    """Events API v2, for whoever has an integration key and no token. It cannot write notes or tell a status, but an
    acknowledge or resolve of what is over or unknown is dropped there, so nothing is reopened.
    """

    def __init__(
        self,
        url: str,
        routing_key: SecretStr,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for an address that is not https."""
        self._line = Line(Address("PAGERDUTY_EVENTS_URL", url), {}, transport=transport, clock=clock)
        self._routing_key = routing_key

    def close(self) -> None:
        self._line.close()

    def send(self, action: Literal["acknowledge", "resolve"], dedup_key: str) -> None:
        """Raises Busy, Unreachable."""
        event = {"routing_key": self._routing_key.get_secret_value(), "event_action": action, "dedup_key": dedup_key}
        self._line.ask("POST", "/v2/enqueue", json=event)

    def trigger(self, dedup_key: str, summary: str, source: str) -> None:
        """A test alert. Raises Busy, Unreachable."""
        payload = {"summary": clean(summary, 1000), "source": source, "severity": "info"}
        event = {
            "routing_key": self._routing_key.get_secret_value(),
            "event_action": "trigger",
            "dedup_key": dedup_key,
            "payload": payload,
        }
        self._line.ask("POST", "/v2/enqueue", json=event)


def _bounded(response: httpx.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise Unreachable("pagerduty", f"an answer of more than {MAX_ANSWER_BYTES} bytes", permanent=True)
        parts.append(part)
    return b"".join(parts)


def _wait_s(headers: Mapping[str, str], otherwise: float) -> float:
    """Retry-After in seconds or as a date, else ratelimit-reset in seconds."""
    for name in ("retry-after", "ratelimit-reset"):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdigit() and text.isascii():
            return min(LONGEST_WAIT_S, max(0.0, float(text[:12])))
        if text and name == "retry-after":
            try:
                until = parsedate_to_datetime(text)
            except ValueError:
                continue
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
            return min(LONGEST_WAIT_S, max(0.0, (until - datetime.now(UTC)).total_seconds()))
    return otherwise


def _error(body: bytes) -> str:
    try:
        document = orjson.loads(body)
        error = document["error"]
        details = "; ".join(map(str, error.get("errors", [])))
        return clean(f"{error.get('message', '')} {details}".strip(), 300)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "no reason given"


def _seen(answer: Any) -> Seen:
    try:
        row = answer["incident"]
        rows = row.get("acknowledgements") or []
        return Seen(str(row["id"]), str(row["status"]), frozenset(str(one["acknowledger"]["id"]) for one in rows))
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreachable("pagerduty", "an answer that is no incident") from error


def _subscription(row: Mapping[str, Any]) -> Subscription:
    method = row.get("delivery_method")
    method = method if isinstance(method, dict) else {}
    return Subscription(
        str(row.get("id", "")),
        str(method.get("url", "")),
        active=bool(row.get("active", False)),
        suspended=bool(method.get("temporarily_disabled", False)),
    )


def _segment(id_: str) -> str:
    """An id from outside in an address: it must not lead anywhere else."""
    if not (id_.isascii() and id_.isalnum()):
        raise Gone("an incident of that name")
    return id_


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
