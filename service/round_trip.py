"""`stanch doctor --send-test` and the settings page: something harmless goes the whole way, from our own address on.

An end of an alert that never fired opens no incident; an empty list is no change; a ping is only a ping.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import httpx

from connectors import generic
from connectors.store.store import Store
from connectors.unreachable import Unreachable
from service import notices
from service.configuration import read
from service.hooks import hooks
from service.integrations import HOOK_PATH, NotWorking, pagerduty
from service.settings import PREFIX, UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connectors.store.store import Row
    from service.configuration import Configuration, HookKind
    from service.hooks import Secret
    from service.settings import Settings

WITHIN_S = 30.0
LOOK_EVERY_S = 0.3


@dataclass(frozen=True, slots=True)
class Posted:
    """What is posted to our own hook."""

    path: str
    headers: Mapping[str, str]
    body: bytes


Tested = Literal["alertmanager", "pagerduty", "grafana", "generic", "changes", "slack", "notices"]


def tried(settings: Settings, name: Tested) -> tuple[bool, str]:
    """Whether it went the whole way, and what happened, in one line without any secret."""
    try:
        match name:
            case "slack":
                return True, _slack(settings)
            case "notices":
                return True, _notices(settings)
            case _:
                return True, send(settings, name)
    except (Unreachable, NotWorking, UnusableSettings) as error:
        return False, str(error)


def _slack(settings: Settings) -> str:
    from service.slack.doctor import send_test  # noqa: PLC0415 only whoever has Slack pays for importing it
    from service.slack.enabled import WHAT_TO_SET, slack  # noqa: PLC0415

    found = slack(settings, read(settings.config))
    if found is None:
        raise UnusableSettings(WHAT_TO_SET)
    return send_test(found, settings.public_url)


def _notices(settings: Settings) -> str:
    """Raises NotWorking that names who did not take it."""
    given = notices.configured(settings, read(settings.config))
    if given is None:
        raise UnusableSettings(f"nobody is told anything: no notices in stanch.yaml, no {PREFIX}APPRISE_URLS")
    came = notices.send_test(given, settings.public_url, datetime.now(UTC))
    refused = [why for why in came.values() if why is not None]
    if refused:
        raise NotWorking("; ".join(refused))
    return f"a test was taken by {', '.join(came)}"


def send(settings: Settings, name: HookKind, transport: httpx.BaseTransport | None = None) -> str:
    """What happened, in one line. Raises NotWorking, Unreachable, UnusableSettings."""
    store = Store(settings.require("store_dsn"), application_name="stanch doctor")
    try:
        rest = pagerduty(settings) if name == "pagerduty" else None
        if rest is not None:
            return _pinged(settings, store)
        return _posted(settings, store, name, transport)
    finally:
        store.close()


def _posted(settings: Settings, store: Store, name: HookKind, transport: httpx.BaseTransport | None) -> str:
    """To a source of the hook; of a generic one, to each."""
    configuration = read(settings.config)
    hook = hooks(settings, configuration)[name]
    if not hook.secrets:
        raise NotWorking(hook.off())
    secrets = {one.source: one for one in reversed(hook.secrets)} if name == "generic" else {"": hook.secrets[0]}
    url = settings.public_url.rstrip("/")
    said = []
    for secret in secrets.values():
        test = _generic(configuration, secret) if name == "generic" else _test(name, secret.value)
        began = time.monotonic()
        _arrives(store, url, test, transport)
        said.append(f"posted to {url}{test.path}, stored, taken in after {time.monotonic() - began:.1f} s")
    return "; ".join(said)


def _arrives(store: Store, url: str, test: Posted, transport: httpx.BaseTransport | None) -> None:
    try:
        with httpx.Client(timeout=10.0, transport=transport) as client:
            answer = client.post(url + test.path, headers=dict(test.headers), content=test.body)
    except httpx.HTTPError as error:
        why = f"{type(error).__name__}: is {PREFIX}PUBLIC_URL right, and does `stanch serve` run?"
        raise Unreachable(url, why) from error
    if answer.status_code != httpx.codes.ACCEPTED:
        raise NotWorking(f"{url}{test.path} answered HTTP {answer.status_code}, not 202")
    receipt = str(answer.json()["receipt"])
    _arrived(lambda: _one(store, "receipt", receipt=receipt))


def _generic(configuration: Configuration, secret: Secret) -> Posted:
    """Raises NotWorking for a mapping by which everything fires."""
    path, mapping = f"/webhooks/generic/{secret.source}", configuration.source(secret.source).mapping
    if mapping is None:
        raise NotWorking(f"sources.{secret.source} in stanch.yaml has no mapping")
    try:
        body = generic.ending(mapping, "StanchTest", f"test-{uuid.uuid4()}")
    except ValueError as error:
        raise NotWorking(f"{path} has no harmless test: {error}; post an alert of yours to try it") from error
    return Posted(path, _bearer(secret.value), body)


def _bearer(secret: bytes) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {secret.decode()}", "Content-Type": "application/json"}


def _test(name: HookKind, secret: bytes) -> Posted:
    bearer, now = _bearer(secret), datetime.now(UTC).isoformat()
    over = {
        "status": "resolved",
        "labels": {"alertname": "StanchTest"},
        "annotations": {},
        "startsAt": now,
        "endsAt": now,
        "fingerprint": f"test-{uuid.uuid4()}",
    }
    match name:
        case "alertmanager":
            body = {"version": "4", "groupKey": "stanch doctor", "alerts": [over]}
            return Posted("/webhooks/alertmanager", bearer, json.dumps(body).encode())
        case "grafana":
            body = {"version": "1", "groupKey": "stanch doctor", "alerts": [over]}
            return Posted("/webhooks/grafana", bearer, json.dumps(body).encode())
        case "pagerduty":
            event = {"id": f"test-{uuid.uuid4()}", "event_type": "pagey.ping", "occurred_at": now, "data": {}}
            signed = json.dumps({"event": event}).encode()
            made = hmac.new(secret, signed, hashlib.sha256).hexdigest()
            return Posted(HOOK_PATH, {"X-PagerDuty-Signature": f"v1={made}"}, signed)
        case _:
            return Posted("/webhooks/changes", bearer, b"[]")


def _pinged(settings: Settings, store: Store) -> str:
    """PagerDuty itself sends its test event to the subscription's address."""
    rest = pagerduty(settings)
    if rest is None:
        raise NotWorking(f"{PREFIX}PAGERDUTY_API_TOKEN is not set")
    url = settings.public_url.rstrip("/") + HOOK_PATH
    subscription = rest.subscription_to(url)
    if subscription is None:
        raise NotWorking(f"no webhook subscription posts to {url}")
    began, since = time.monotonic(), _now(store)
    rest.ping(subscription.id)
    _arrived(lambda: _one(store, "came_since", source="pagerduty", since=since))
    return f"PagerDuty pinged {url}; stored and taken in after {time.monotonic() - began:.1f} s"


def _now(store: Store) -> datetime:
    with store.transaction() as tx:
        return tx.now()


def _one(store: Store, query: str, **params: object) -> Row | None:
    with store.transaction() as tx:
        return tx.one(query, **params)


def _arrived(look: Callable[[], Row | None]) -> None:
    """Raises NotWorking when it did not come, is not taken in, or could not be read."""
    end, row = time.monotonic() + WITHIN_S, None
    while time.monotonic() < end:
        row = look()
        if row is not None and row["state"] != "stored":
            break
        time.sleep(LOOK_EVERY_S)
    if row is None:
        raise NotWorking(f"nothing came within {WITHIN_S:.0f} s")
    if row["state"] == "stored":
        raise NotWorking(f"stored, but no worker took it in within {WITHIN_S:.0f} s: does `stanch worker` run?")
    if row["state"] == "quarantined":
        raise NotWorking(f"stored, but it could not be read: {row['reason']}")
