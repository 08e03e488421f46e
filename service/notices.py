"""Our own events for others: read from the sealed chain, kept in an outbox, sent until they are taken or given up.

The chain has an order and no gaps, so an event is neither lost nor invented, whatever stops in between; a receiver may
see one twice and knows it by its id.
"""

from __future__ import annotations

import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import structlog

from agent.incident import IncidentState
from connectors import notify
from connectors.notify import Apprise, Receiver, Undelivered, Webhooks
from service.loops import POLL_S, Loop
from service.pages.text import shown
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import SecretStr

    from connectors.store.store import Row, Store, Transaction
    from service.configuration import Configuration, NoticeType
    from service.settings import Settings

log = structlog.get_logger()

LEASE, LEASE_S = "notices", 60.0
BATCH, AT_ONCE, SENDERS = 200, 20, 4
RETRY_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
"""After so many waits, 18 hours in all, a notice is given up and the audit says so."""
NEWS_FOR = timedelta(days=1)
"""What is older is history: nobody is told it when receivers come back after a long time without any."""
APPRISE = "apprise"
WEBHOOK = "webhook:"
"""What stands in the outbox before the name of a receiver that is a webhook."""


class Posting(Protocol):
    """connectors.notify.Webhooks, as far as it is needed here."""

    def send(self, receiver: Receiver, message_id: str, at: datetime, body: str) -> None:
        """One attempt. Raises Undelivered."""


@dataclass(frozen=True, slots=True)
class Configured:
    """receivers: by name. events: what each receiver is told; of apprise too."""

    receivers: Mapping[str, Receiver]
    events: Mapping[str, frozenset[str]]
    webhooks: Posting | None = None
    apprise: Apprise | None = None


def configured(
    settings: Settings, configuration: Configuration, *, apprise: Callable[[Sequence[str]], Apprise] = Apprise
) -> Configured | None:
    """None: nobody is told anything. Raises UnusableSettings."""
    urls = _parts(settings.apprise_urls)
    if not configuration.notices and not urls:
        return None
    receivers = {
        f"{WEBHOOK}{one.name}": Receiver(one.name, one.url, one.allow_private) for one in configuration.notices
    }
    events = {f"{WEBHOOK}{one.name}": frozenset(one.events) or EVENTS for one in configuration.notices}
    if urls:
        events[APPRISE] = frozenset(configuration.apprise_events)
    return Configured(
        receivers, events, _webhooks(settings) if receivers else None, _apprise(urls, apprise) if urls else None
    )


def _webhooks(settings: Settings) -> Webhooks:
    given = settings.notice_secrets.get_secret_value() if settings.notice_secrets is not None else ""
    try:
        found = notify.secrets_of(given)
    except notify.UnusableSecret as error:
        raise UnusableSettings(f"STANCH_NOTICE_SECRETS: {error}") from None
    if not found:
        raise UnusableSettings(
            "STANCH_NOTICE_SECRETS is not set: stanch.yaml names receivers, and nothing would be signed"
        )
    return Webhooks(found)


def _apprise(urls: Sequence[str], make: Callable[[Sequence[str]], Apprise]) -> Apprise:
    try:
        return make(urls)
    except (notify.ExtraMissing, ValueError) as error:
        raise UnusableSettings(f"STANCH_APPRISE_URLS: {error}") from None


def _parts(secret: SecretStr | None) -> tuple[str, ...]:
    text = secret.get_secret_value() if secret is not None else ""
    return tuple(filter(None, (part.strip() for part in text.split())))


# --- What is told ------------------------------------------------------------------------------------------------

_OF_ACTION: Mapping[str, NoticeType] = {
    "AlertReceived": "incident.opened",
    "ProposalDrafted": "incident.proposed",  # audited only where it is left to people
    "ApprovalOpened": "incident.proposed",
    "Escalated": "incident.escalated",
    "Decided": "incident.decided",
    "ApprovalExpired": "incident.decided",
}
_OF_STATE: Mapping[str, NoticeType] = {
    IncidentState.NEEDS_HUMAN: "incident.needs_human",
    IncidentState.CLOSED: "incident.closed",
}
EVENTS: frozenset[str] = frozenset({*_OF_ACTION.values(), *_OF_STATE.values(), "incident.verified"})


def types_of(row: Row) -> tuple[NoticeType, ...]:
    """The events that an audit row is. Empty: none."""
    if row["incident_id"] is None:
        return ()
    found: list[NoticeType] = []
    if row["action"] in _OF_ACTION:
        found.append(_OF_ACTION[row["action"]])
    moved = row["data"].get("to")
    if row["action"] == "VerificationSampled" and moved:
        found.append("incident.verified")
    if moved in _OF_STATE:
        found.append(_OF_STATE[moved])
    return tuple(found)


def body_of(tx: Transaction, kind: NoticeType, row: Row, public_url: str) -> str:
    """The payload as Standard Webhooks orders it: type, timestamp, data. The incident as it stands when this is
    written; a receiver that needs more asks the API.
    """
    incident = tx.incident(row["incident_id"])
    data: dict[str, Any] = {
        "incident": f"INC-{row['incident_id']}",
        "url": f"{public_url}/i/INC-{row['incident_id']}",
        "actor": shown(row["actor"]),
        "note": shown(row["data"].get("note", ""), 1000),
        "from": row["data"].get("from"),
        "to": row["data"].get("to"),
    }
    if incident is not None:
        data |= {
            "state": incident.state,
            "outcome": incident.outcome,
            "title": shown(incident.title),
            "service": shown(incident.service) if incident.service else None,
            "severity": shown(incident.severity) if incident.severity else None,
            "target": incident.target,
        }
    return orjson.dumps({"type": kind, "timestamp": row["at"].isoformat(), "data": data}).decode()


def tell(store: Store, given: Configured, public_url: str) -> int:
    """Moves the cursor over sealed rows and fills the outbox, in one transaction. Returns how many notices."""
    with store.transaction() as tx:
        cursor = tx.one("notice_cursor")
        if cursor is None:
            tx.run("start_notices")
            return 0
        rows = tx.all("told_rows", after=cursor["seq"], limit=BATCH)
        made, oldest = 0, tx.now() - NEWS_FOR
        for row in rows:
            for kind in types_of(row) if row["at"] >= oldest else ():
                wanted = [name for name, events in given.events.items() if kind in events]
                body = body_of(tx, kind, row, public_url) if wanted else ""
                for name in wanted:
                    made += tx.run("add_notice", audit=row["id"], type=kind, receiver=name, body=body)
        if rows:
            tx.run("move_notice_cursor", seq=rows[-1]["seq"])
    return made


# --- Sending it --------------------------------------------------------------------------------------------------


@dataclass
class Sender:
    """One process sends at a time. Receivers go side by side, so that a slow one holds up only itself."""

    store: Store
    given: Configured
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SENDERS, thread_name_prefix="notice"))

    def turn(self) -> int:
        """How many were taken. Raises Unreachable when the store is away."""
        with self.store.transaction() as tx:
            if tx.one("take_lease", name=LEASE, owner=self.owner, lease_s=LEASE_S) is None:
                return 0
            rows = tx.all("due_notices", limit=AT_ONCE)
        by_receiver: dict[str, list[Row]] = {}
        for row in rows:
            by_receiver.setdefault(row["receiver"], []).append(row)
        return sum(self.pool.map(self._deliver, by_receiver.values()))

    def _deliver(self, rows: Sequence[Row]) -> int:
        taken = 0
        for row in rows:
            try:
                self._send(row)
            except Undelivered as error:
                self._failed(row, error)
                if not error.permanent:
                    break  # the others of this receiver are still due
            else:
                taken += 1
                self._ended(row, "delivered", None)
        return taken

    def _send(self, row: Row) -> None:
        receiver = self.given.receivers.get(row["receiver"])
        if receiver is not None and self.given.webhooks is not None:
            message_id = f"msg_{row['audit_id']}_{row['type'].replace('.', '_')}"
            self.given.webhooks.send(receiver, message_id, datetime.now(UTC), row["body"])
        elif row["receiver"] == APPRISE and self.given.apprise is not None:
            self.given.apprise.send(*words(orjson.loads(row["body"])))
        else:
            raise Undelivered(row["receiver"], "it is not configured any more", permanent=True)

    def _failed(self, row: Row, error: Undelivered) -> None:
        log.warning("notice not taken", receiver=row["receiver"], attempts=row["attempts"] + 1, error=str(error))
        if error.permanent or row["attempts"] >= len(RETRY_S):
            self._ended(row, "gave_up", str(error))
            return
        wait_s = RETRY_S[row["attempts"]] * random.uniform(0.8, 1.2)  # noqa: S311 jitter, not a secret
        with self.store.transaction() as tx:
            tx.run(
                "later_notice", audit=row["audit_id"], type=row["type"], receiver=row["receiver"],
                error=str(error)[:500], after_s=max(wait_s, error.wait_s or 0.0),
            )  # fmt: skip

    def _ended(self, row: Row, state: str, error: str | None) -> None:
        key = {"audit": row["audit_id"], "type": row["type"], "receiver": row["receiver"]}
        with self.store.transaction() as tx:
            ended = tx.run("end_notice", **key, state=state, error=error and error[:500])
            if ended and state == "gave_up":
                note = {"note": f"{row['type']} was not taken by {row['receiver']}: {error}"[:500]}
                tx.audit(None, "api", "NoticeGivenUp", note)


def words(body: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text for people, of an event."""
    data = body["data"]
    title = f"{data['incident']}: {str(body['type']).removeprefix('incident.').replace('_', ' ')}"
    parts = [data.get("title") or "", data.get("note") or "", data["url"]]
    return title, "\n".join(part for part in parts if part)


def send_test(given: Configured, public_url: str, at: datetime) -> Mapping[str, str | None]:
    """A `stanch.test` to every receiver, past the outbox: why each did not take it, None where it did."""
    note = "a test: notices of Stanch reach you"
    told = {"type": "stanch.test", "timestamp": at.isoformat(), "data": {"url": public_url, "note": note}}
    body, message_id = orjson.dumps(told).decode(), f"msg_test_{secrets.token_hex(8)}"
    sends: dict[str, Callable[[], None]] = {}
    if given.webhooks is not None:
        for name, receiver in given.receivers.items():
            sends[name] = partial(given.webhooks.send, receiver, message_id, at, body)
    if given.apprise is not None:
        sends[APPRISE] = partial(given.apprise.send, "Stanch", f"{note}\n{public_url}")
    return {name: _why_not_taken(send) for name, send in sends.items()}


def _why_not_taken(send: Callable[[], None]) -> str | None:
    try:
        send()
    except Undelivered as error:
        return str(error)
    return None


def loops(store: Store, given: Configured | None, public_url: str, stop: threading.Event) -> tuple[Loop, ...]:
    """None configured: no loop."""
    if given is None:
        return ()
    sender = Sender(store, given)

    def telling() -> float | None:
        return 0.0 if tell(store, given, public_url) else None

    def sending() -> float | None:
        return 0.0 if sender.turn() else None

    return (
        Loop("notices", telling, POLL_S, threading.Event(), stop),
        Loop("notice sender", sending, POLL_S, threading.Event(), stop),
    )
