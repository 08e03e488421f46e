"""Keeps PagerDuty's incidents in step with ours: a reconciler.

Each turn takes the incidents of ours that changed, asks PagerDuty how its own stand, and does what is missing. What was
sent is written down for people; what to do is decided from the two states alone, so a crash between any two lines, a
second process, or an outage of a day ends in the same picture. Nothing of Stanch waits for PagerDuty.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import structlog

from agent.paging import Wish, wish
from connectors.pagerduty.client import Busy, Gone
from connectors.unreachable import Unreachable
from service.loops import Loop

if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.incident import Incident
    from connectors.pagerduty.client import Seen, Status
    from connectors.store.store import Row, Store, Transaction

    class Paging(Protocol):
        """REST v2: connectors.pagerduty.client.PagerDuty."""

        def incident(self, id_: str) -> Seen: ...
        def set_status(self, id_: str, status: Status, *, resolution: str | None = None) -> Seen: ...
        def notes(self, id_: str) -> tuple[str, ...]: ...
        def add_note(self, id_: str, text: str) -> None: ...

    class Signals(Protocol):
        """Events v2: connectors.pagerduty.client.Events."""

        def send(self, action: Any, dedup_key: str) -> None: ...


log = structlog.get_logger()

PERIOD_S = 2.0
LEASE_S = 120.0
BATCH = 10
"""A turn ends at the first sign that PagerDuty is away, so that a batch is done well within its lease."""
LONGEST_BACKOFF_S = 300.0


@dataclass(slots=True)
class Sent:
    """What one look at one incident changed over there."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    acknowledged_as: str | None = None

    def add(self, what: str, text: str = "") -> None:
        self.lines.append((what, text))


class PagerDutySync:
    """rest None: only Events v2, which knows no notes. public_url: where the notes link to."""

    def __init__(self, store: Store, rest: Paging | None, events: Signals | None, public_url: str) -> None:
        self._store = store
        self._rest = rest
        self._events = events
        self._public_url = public_url

    def turn(self) -> int:
        """Incidents that are in step now. Raises Unreachable for the store alone."""
        with self._store.transaction() as tx:
            rows = tx.all("pagerduty_due", lease_s=LEASE_S, limit=BATCH)
        done = 0
        for row in rows:
            ended = self._one(row)
            if ended == "away":
                break
            done += ended == "in step"
        return done

    def _one(self, row: Row) -> Literal["in step", "refused", "away"]:
        """refused: this one, or all for a wrong token; away: there is no use in asking on."""
        with self._store.transaction() as tx:
            incident = tx.incident(row["incident_id"])
        if incident is None:
            return "refused"
        sent = Sent()
        try:
            self._reconcile(row, incident, sent)
        except Gone as error:
            self._written(row, incident, sent, note=f"{error}: it is left alone")
            return "in step"
        except Unreachable as error:
            self._later(row, incident, sent, error)
            return "refused" if error.permanent else "away"
        self._written(row, incident, sent)
        return "in step"

    def _reconcile(self, row: Row, incident: Incident, sent: Sent) -> None:
        wanted = wish(incident, f"{self._public_url}/i/{incident.key}")
        if self._rest is not None:
            seen = self._rest.incident(row["id"])
            self._status(self._rest, row, seen, wanted, sent, before_notes=True)
            self._notes(self._rest, row, wanted, sent)
            self._status(self._rest, row, seen, wanted, sent, before_notes=False)
        elif self._events is not None and row["dedup_key"]:
            self._signal(self._events, row["dedup_key"], wanted, sent)

    def _status(self, rest: Paging, row: Row, seen: Seen, wanted: Wish, sent: Sent, *, before_notes: bool) -> None:
        """Never sets a status on a resolved incident: that would reopen it. Somebody works on it before anything is
        written; it is over only after the reason stands there.
        """
        match wanted.standing, seen.status, before_notes:
            case "acknowledged", "triggered", True:
                self._acknowledge(rest, row, sent)
            case "acknowledged", "acknowledged", True if row["attempts"] > 1 and row["acknowledged_as"] is None:
                # An answer was lost, and with it who we are over there; to do it again does no harm and tells.
                self._acknowledge(rest, row, sent)
            case "handed_back", "acknowledged", False if seen.acknowledgers == {row["acknowledged_as"]}:
                # A human who took it as well keeps it.
                rest.set_status(row["id"], "triggered")
                sent.add("handed back")
            case "resolved", "triggered" | "acknowledged", False:
                rest.set_status(row["id"], "resolved", resolution=wanted.resolution)
                sent.add("resolved", wanted.resolution)
            case _:
                return

    def _acknowledge(self, rest: Paging, row: Row, sent: Sent) -> None:
        after = rest.set_status(row["id"], "acknowledged")
        sent.add("acknowledged")
        if len(after.acknowledgers) == 1:
            sent.acknowledged_as = next(iter(after.acknowledgers))

    def _notes(self, rest: Paging, row: Row, wanted: Wish, sent: Sent) -> None:
        """A note that stands there already was written by a turn that did not live to say so."""
        if not wanted.notes:
            return
        there = {text.strip() for text in rest.notes(row["id"])}
        for text in wanted.notes:
            if text.strip() not in there:
                rest.add_note(row["id"], text)
                sent.add("note", text)

    def _signal(self, events: Signals, dedup_key: str, wanted: Wish, sent: Sent) -> None:
        """Events v2 drops an acknowledge or resolve of what is over, so repeating one does no harm."""
        match wanted.standing:
            case "acknowledged":
                events.send("acknowledge", dedup_key)
                sent.add("acknowledged")
            case "resolved":
                events.send("resolve", dedup_key)
                sent.add("resolved")
            case "untouched" | "handed_back":
                return

    def _written(self, row: Row, incident: Incident, sent: Sent, note: str | None = None) -> None:
        with self._store.transaction() as tx:
            tx.run(
                "pagerduty_reconciled",
                id=row["id"],
                incident=incident.id,
                version=incident.version,
                acknowledged_as=sent.acknowledged_as,
            )
            self._record(tx, row, incident, sent, note)

    def _later(self, row: Row, incident: Incident, sent: Sent, error: Unreachable) -> None:
        after_s = error.after_s if isinstance(error, Busy) else _backoff_s(row["attempts"], permanent=error.permanent)
        log.warning("pagerduty not in step", incident=incident.key, error=str(error), again_in_s=round(after_s))
        with self._store.transaction() as tx:
            tx.run(
                "pagerduty_later",
                id=row["id"],
                after_s=after_s,
                error=str(error)[:500],
                acknowledged_as=sent.acknowledged_as,
            )
            self._record(tx, row, incident, sent, None)

    def _record(self, tx: Transaction, row: Row, incident: Incident, sent: Sent, note: str | None) -> None:
        """For people. Events v2 is told the same again and again; here it is said once."""
        lines = sent.lines
        if self._rest is None:
            said_before = {one["what"] for one in tx.all("pagerduty_sent", id=row["id"], incident=incident.id)}
            lines = [line for line in lines if line[0] not in said_before]
        for what, text in lines:
            tx.run("add_pagerduty_sent", id=row["id"], incident=incident.id, what=what, text=text)
        said = ", ".join(dict.fromkeys(what for what, _ in lines))
        if said or note:
            told = f"PagerDuty {row['id']}: {note or said}"
            tx.audit(incident.id, "pagerduty", "PagerDuty", {"note": told, "url": row["html_url"]})


def _backoff_s(attempts: int, *, permanent: bool) -> float:
    """2 s, doubling, with jitter. What needs a person, such as a wrong token, is tried again all the same, rarely."""
    if permanent:
        return LONGEST_BACKOFF_S
    return float(min(LONGEST_BACKOFF_S, 2.0 * 2 ** min(attempts, 10)) * random.uniform(0.7, 1.3))  # noqa: S311 jitter


def loop(sync: PagerDutySync, stop: threading.Event) -> Loop:
    def body() -> None:
        sync.turn()

    return Loop("pagerduty sync", body, PERIOD_S, threading.Event(), stop)
