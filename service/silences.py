"""Silences while a fix runs: the alert that is being repaired should not call people again and again.

A reconciler: an incident that is executing or verifying has a silence for each of its alerts, narrow and with an end;
any other has none. A silence hides its alert's end as well, so once it is gone Alertmanager is asked which alerts it
still has, and an end that was missed comes in through the hook's own door.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import structlog

from agent.incident import IncidentState
from agent.machine import Step
from connectors.alertmanager.client import Matchers
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from service.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    from connectors.store.store import Row, Store

    class Silencing(Protocol):
        """connectors.alertmanager.client.Alertmanager."""

        def silence(
            self,
            matchers: Matchers,
            starts_at: datetime,
            ends_at: datetime,
            comment: str,
            *,
            renewed: str | None = None,
        ) -> str: ...
        def silences_of(self, comment: str) -> Mapping[str, Mapping[str, str]]: ...
        def expire(self, silence_id: str) -> None: ...
        def fingerprints(self, alertname: str) -> frozenset[str]: ...


log = structlog.get_logger()

PERIOD_S = 2.0
MARGIN_S = 900.0
"""Past the time that verification may take."""
MOST_AN_INCIDENT = 20
LOOKS_AFTER_S = 75.0
"""Prometheus sends an alert that fires again at least once a minute: after this one that is missing is over."""
RUNNING = frozenset({IncidentState.EXECUTING, IncidentState.VERIFYING})


class Silences:
    """sources: the names of sources that are this Alertmanager. lasts_s: how long a fix and its verification take at
    most.
    """

    def __init__(
        self, store: Store, alertmanager: Silencing, sources: Sequence[str], public_url: str, lasts_s: float
    ) -> None:
        self._store = store
        self._alertmanager = alertmanager
        self._sources = list(sources)
        self._public_url = public_url
        self._ends_after = timedelta(seconds=lasts_s + MARGIN_S)

    def turn(self) -> None:
        """Raises Unreachable; the next turn goes on where this one ended."""
        with self._store.transaction() as tx:
            fixing = tx.all("being_fixed")
            ours = tx.all("silences")
        for row in fixing:
            self._silence(row["id"], [one for one in ours if one["incident_id"] == row["id"]])
        for row in ours:
            if IncidentState(row["state"]) not in RUNNING:
                self._end(row)

    def _silence(self, incident_id: int, ours: Sequence[Row]) -> None:
        with self._store.transaction() as tx:
            alerts = tx.all("alerts_to_silence", incident=incident_id, sources=self._sources)
            now = tx.now()
        wanted = _distinct(row["labels"] for row in alerts)[:MOST_AN_INCIDENT]
        there = {_key(row["matchers"]): row for row in ours if row["removed_at"] is None}
        missing = [one for one in wanted if _key(one.labels) not in there]
        # Lasts until somebody must have decided; a fix that is still verified then gets a longer one.
        short = [row for row in there.values() if row["ends_at"] - now < timedelta(seconds=MARGIN_S / 3)]
        if not missing and not short:
            return
        comment = f"Stanch INC-{incident_id}: a fix is running, {self._public_url}/i/INC-{incident_id}"
        # One that was made by a turn that did not live to write it down is taken over, not made again.
        made = {_key(labels): id_ for id_, labels in self._alertmanager.silences_of(comment).items()}
        for matchers in missing:
            self._make(incident_id, matchers, now, comment, made.get(_key(matchers.labels)))
        for row in short:
            self._make(incident_id, Matchers(row["matchers"]), now, comment, row["id"])

    def _make(self, incident_id: int, matchers: Matchers, now: datetime, comment: str, renewed: str | None) -> None:
        ends_at = now + self._ends_after
        made = self._alertmanager.silence(matchers, now, ends_at, comment, renewed=renewed)
        with self._store.transaction() as tx:
            tx.run("add_silence", id=made, incident=incident_id, matchers=jsonb(dict(matchers.labels)), ends_at=ends_at)
            if renewed is not None and renewed != made:
                tx.run("silence_settled", id=renewed)
            if renewed is None:
                said = ", ".join(f"{name}={value}" for name, value in matchers.labels.items())
                tx.audit(incident_id, "alertmanager", "Silenced", {"note": f"silenced while the fix runs: {said}"})

    def _end(self, row: Row) -> None:
        if row["removed_at"] is None:
            self._alertmanager.expire(row["id"])
            with self._store.transaction() as tx:
                tx.run("silence_removed", id=row["id"])
                tx.audit(row["incident_id"], "alertmanager", "Silenced", {"note": "silence taken away"})
        elif row["removed_s"] > LOOKS_AFTER_S:
            self._settle(row)

    def _settle(self, row: Row) -> None:
        """Alerts that ended unheard are told to the intake, as Alertmanager would have."""
        with self._store.transaction() as tx:
            alerts = tx.all("alerts_to_silence", incident=row["incident_id"], sources=self._sources)
        mine = [one for one in alerts if Matchers.of(one["labels"]) == Matchers(row["matchers"])]
        there = self._alertmanager.fingerprints(row["matchers"].get("alertname", "")) if mine else frozenset()
        over = [one for one in mine if one["fingerprint"].rpartition("/")[2] not in there]
        with self._store.transaction() as tx:
            for source in sorted({one["source"] for one in over}):
                body = _resolved([one for one in over if one["source"] == source], datetime.now(UTC))
                stored = tx.one("store_inbox", source=source, headers=jsonb({"made-by": "silences"}), body=body)
                if stored is None:
                    raise Unreachable("store", "the end of an alert was not stored")
                tx.add_step(None, Step("intake", "agent", {"inbox": stored["id"]}))
            tx.run("silence_settled", id=row["id"])


def _distinct(alerts: Iterable[Mapping[str, str]]) -> list[Matchers]:
    """Without those whose labels are too few to be narrow."""
    found = {_key(one.labels): one for labels in alerts if (one := Matchers.of(labels)) is not None}
    return list(found.values())


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _resolved(alerts: Sequence[Row], now: datetime) -> bytes:
    rows = [
        {
            "status": "resolved",
            "labels": one["labels"],
            "annotations": one["annotations"],
            "startsAt": one["starts_at"].isoformat(),
            "endsAt": now.isoformat(),
            "fingerprint": one["fingerprint"].rpartition("/")[2],
        }
        for one in alerts
    ]
    return orjson.dumps({"version": "4", "groupKey": "ended while silenced", "alerts": rows})


def loop(silences: Silences, stop: threading.Event) -> Loop:
    return Loop("silences", silences.turn, PERIOD_S, threading.Event(), stop)
