"""Intake: a stored body becomes alerts and an incident. Nothing that was answered 202 is lost here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent.correlation import Candidate, Concern, same_cause
from agent.events import AlertsResolved
from agent.incident import IncidentState, Milestone
from agent.machine import IllegalTransition, Step
from connectors import changes, generic, grafana
from connectors.alertmanager import webhook as alertmanager
from connectors.json_document import UnusablePayload
from connectors.pagerduty import webhook as pagerduty
from connectors.store.store import Row, Transaction, dumps, jsonb
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent.alert import Alert, AlertGroup
    from agent.events import Event
    from connectors.pagerduty.webhook import Heard
    from service.configuration import Configuration
    from service.steps.runner import Handler, Held, Runner, Save

MAX_TITLE_CHARS = 200
HOUR_S = 3600.0
OWN_NAMES = "alertmanager"
"""Its fingerprints stand as they came. Another source's carry its name, so that it can end no alert but its own."""


def intake(configuration: Configuration) -> Handler:
    """Reads the inbox rows that were stored together. A body that cannot be read is quarantined: visible, never
    retried, never lost.
    """

    def handle(held: Held) -> Save:
        together = held.step.args.get("inboxes")
        if together is not None and held.step.attempts > 1:
            return _apart(together)
        numbers = [held.step.args["inbox"]] if together is None else together
        with held.runner.store.transaction() as tx:
            rows = tx.all("inboxes", ids=numbers)
        if len(rows) < len(numbers):
            # Of several, the others are still to be taken in: tried again, each has a step of its own.
            raise Unreachable("store", "the inbox row is gone", permanent=together is None)
        readings = [_read(configuration, row) for row in rows]

        def save(tx: Transaction) -> Event | None:
            if len(readings) > 1:
                # Before any incident's row: two steps that each open one and join the other's would wait for ever.
                tx.all("lock_correlation")
            for reading in _in_order(readings):
                reading.save(_Intake(configuration, held.runner, reading.rows), tx)
            return None

        return save

    return handle


def _apart(together: Sequence[int]) -> Save:
    """What failed together is tried apart, so that one body the store refuses takes no other with it."""

    def save(tx: Transaction) -> Event | None:
        for number in together:
            tx.add_step(None, Step("intake", "agent", {"inbox": number}))
        return None

    return save


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one body says, or several bodies of one group. firing: all that they say, None when they say more."""

    rows: tuple[Row, ...]
    save: Callable[[_Intake, Transaction], None]
    key: str = ""
    firing: AlertGroup | None = None


def _read(configuration: Configuration, row: Row) -> _Reading:
    try:
        return _readable(configuration, row)
    except UnusablePayload as error:
        reason = str(error)
        return _Reading((row,), lambda work, tx: work.quarantine(tx, reason))


def _readable(configuration: Configuration, row: Row) -> _Reading:
    """Raises UnusablePayload."""
    source, body = str(row["source"]), bytes(row["body"])
    declared = configuration.source(source)
    match configuration.kind_of(source):
        case "alertmanager":
            return _of_group(row, alertmanager.read(body, source))
        case "grafana":
            return _of_group(row, grafana.read(body, source))
        case "generic" if declared.mapping is not None:
            group = generic.read(body, source, declared.mapping, row["received_at"])
            return _Reading((row,), lambda work, tx: work.alerts(tx, _continued(tx, _own(group))), group.key)
        case "pagerduty":
            heard = pagerduty.read(body, source, declared.services, declared.titles)
            key = heard.group.key if heard.group else ""
            return _Reading((row,), lambda work, tx: work.heard(tx, heard), key)
        case "changes":
            told = changes.read(body)
            return _Reading((row,), lambda work, tx: work.changes(tx, told))
        case _:
            raise UnusablePayload(f"no source named {source[:60]!r} is configured here")


def _of_group(row: Row, group: AlertGroup) -> _Reading:
    return _of_groups((row,), group)


def _of_groups(rows: tuple[Row, ...], group: AlertGroup) -> _Reading:
    firing = None if group.resolved else group
    return _Reading(rows, lambda work, tx: work.alerts(tx, _own(group)), group.key, firing)


def _in_order(readings: Sequence[_Reading]) -> Iterator[_Reading]:
    """Sorted by group; what came for one group stays as it came. Alerts that only begin, and each of them once, are
    taken in with one look at the store.
    """
    waiting: _Reading | None = None
    for reading in sorted(readings, key=lambda one: (str(one.rows[0]["source"]), one.key)):
        joined = _joint(waiting, reading) if waiting else None
        if joined is None and waiting is not None:
            yield waiting
        waiting = joined or reading
    if waiting is not None:
        yield waiting


def _joint(one: _Reading, other: _Reading) -> _Reading | None:
    """None: each is to be taken in by itself. An episode that is told of twice counts twice."""
    first, second = one.firing, other.firing
    if first is None or second is None or (first.source, first.key) != (second.source, second.key):
        return None
    if {(alert.fingerprint, alert.starts_at) for alert in first.alerts} & {
        (alert.fingerprint, alert.starts_at) for alert in second.alerts
    }:
        return None
    group = replace(first, alerts=first.alerts + second.alerts, truncated=first.truncated + second.truncated)
    return _of_groups(one.rows + other.rows, group)


def _own(group: AlertGroup) -> AlertGroup:
    if group.source == OWN_NAMES:
        return group
    alerts = tuple(replace(alert, fingerprint=f"{group.source}/{alert.fingerprint}") for alert in group.alerts)
    return replace(group, alerts=alerts)


def _continued(tx: Transaction, group: AlertGroup) -> AlertGroup:
    """For a source that does not say when an alert began: while it fires, hearing of it again is the same episode."""

    def one(alert: Alert) -> Alert:
        row = tx.one("latest_alert", fingerprint=alert.fingerprint) if alert.status == "firing" else None
        return replace(alert, starts_at=row["starts_at"]) if row and row["status"] == "firing" else alert

    return replace(group, alerts=tuple(one(alert) for alert in group.alerts))


class _Intake:
    """Inbox rows being taken in as one. Every method runs inside the transaction that ends the step."""

    def __init__(self, configuration: Configuration, runner: Runner, rows: Sequence[Row]) -> None:
        self.configuration = configuration
        self.row = rows[0]
        self._rows = rows
        self._runner = runner

    def _done(self, tx: Transaction, reason: str | None = None) -> None:
        tx.run("mark_inboxes", ids=[row["id"] for row in self._rows], state="processed", reason=reason)

    def quarantine(self, tx: Transaction, reason: str) -> None:
        tx.run("mark_inboxes", ids=[row["id"] for row in self._rows], state="quarantined", reason=reason)
        tx.audit(None, "intake", "quarantined", {"receipt": str(self.row["receipt"]), "note": reason})

    # --- Alerts --------------------------------------------------------------------------------------------------

    def alerts(self, tx: Transaction, group: AlertGroup) -> None:
        self._firing(tx, group)
        self._resolved(tx, group)
        self._done(tx)

    def _firing(self, tx: Transaction, group: AlertGroup) -> int | None:
        """The incident of the group's firing alerts; None when none of them belongs to one."""
        firing = list({(alert.fingerprint, alert.starts_at): alert for alert in group.firing}.values())
        known = _known(tx, firing)
        # Episodes never seen: a repeated notification only refreshes "last seen".
        new = [alert for alert in firing if (alert.fingerprint, alert.starts_at) not in known]
        joined = self._incident_for(tx, group, new) if new else None
        owners = [known.get((alert.fingerprint, alert.starts_at), {"incident_id": joined}) for alert in firing]
        if firing:
            tx.run(
                "add_alerts",
                source=group.source,
                fingerprints=[alert.fingerprint for alert in firing],
                starts=[alert.starts_at for alert in firing],
                incidents=[row["incident_id"] for row in owners],
                labels=[dumps(dict(alert.labels)) for alert in firing],
                annotations=[dumps(dict(alert.annotations)) for alert in firing],
                generator_urls=[alert.generator_url for alert in firing],
            )
        return joined or next((row["incident_id"] for row in owners if row["incident_id"]), None)

    def _resolved(self, tx: Transaction, group: AlertGroup, *, newest: bool = False) -> None:
        known = _known(tx, group.resolved)
        touched = {_resolve(tx, group.source, alert, known, newest=newest) for alert in group.resolved}
        for incident_id in sorted(one for one in touched if one is not None):
            self._over(tx, incident_id)

    def _incident_for(self, tx: Transaction, group: AlertGroup, new: Sequence[Alert]) -> int:
        """Joins the open incident of the group or of the cause, or opens one with a triage step."""
        key = f"{group.source}:{group.key}"
        found = tx.one("incident_to_join", correlation_key=key)
        if found is None:
            tx.all("lock_correlation")
            found = tx.one("incident_to_join", correlation_key=key)
        first = min(new, key=lambda alert: (alert.starts_at, alert.fingerprint))
        if found is not None:
            return _joined(tx, found["id"], len(new), "of the same group")
        of_cause = self._of_cause(tx, group.source, first)
        if of_cause is not None:
            return _joined(tx, of_cause, len(new), f"taken for the same cause: {_title(first)}")
        if self._over_budget(tx, group.source):
            key = f"storm:{group.source}"
            found = tx.one("incident_to_join", correlation_key=key)
            if found is not None:
                return _joined(tx, found["id"], len(new), "beyond what one source may open in an hour")
        return self._open(tx, group.source, key, first)

    def _of_cause(self, tx: Transaction, source: str, alert: Alert) -> int | None:
        correlation = self.configuration.correlation
        if not correlation.window_s:
            return None
        target, denied = self.configuration.target_allowed(source, alert.labels)
        if denied is not None:
            return None
        candidates = [
            Candidate(row["id"], Concern(row["service"], self._target_of(row)))
            for row in tx.all("recent_incidents", window_s=correlation.window_s)
        ]
        about = Concern(alert.labels.get("service"), target)
        return same_cause(about, candidates, self.configuration.graph, correlation.hops)

    def _target_of(self, row: Row) -> str | None:
        return self.configuration.target_allowed(row["source"] or OWN_NAMES, row["labels"])[0]

    def _over_budget(self, tx: Transaction, source: str) -> bool:
        most = self.configuration.source(source).new_incidents_per_hour
        row = tx.one("opened_by_source", source=source, window_s=HOUR_S)
        return row is not None and row["opened"] >= most

    def _open(self, tx: Transaction, source: str, key: str, first: Alert) -> int:
        labels, title = dict(first.labels), _title(first)
        if key.startswith("storm:"):
            title = f"Too many new incidents from {source}: {title}"[:MAX_TITLE_CHARS]
        opened = tx.one(
            "add_incident",
            correlation_key=key,
            source=source,
            title=title,
            service=labels.get("service"),
            severity=labels.get("severity") or labels.get("priority") or labels.get("urgency"),
            labels=jsonb(labels),
            annotations=jsonb(dict(first.annotations)),
            milestones=jsonb(
                {
                    Milestone.IMPACT_START: first.starts_at.isoformat(),
                    Milestone.DETECTED: self.row["received_at"].isoformat(),
                }
            ),
        )
        if opened is None:
            # Another notification of the group opened it between our look and our insert: take this step again.
            raise Unreachable("store", "the group's incident is being opened by another process")
        number: int = opened["id"]
        tx.audit(number, "intake", "AlertReceived", {"note": title, "receipt": str(self.row["receipt"])})
        _, denied = self.configuration.target_allowed(source, labels)
        if denied is not None:
            note = f"{source} may not name the target {denied}: nothing will be done there for this alert"
            tx.audit(number, "intake", "TargetRefused", {"note": note})
        tx.add_step(number, Step("triage", "agent"))
        return number

    def _over(self, tx: Transaction, incident_id: int) -> None:
        incident = tx.incident(incident_id, lock=True)
        firing = tx.one("firing_alerts", incident=incident_id)
        if incident is None or firing is None or firing["firing"] or incident.state is IncidentState.CLOSED:
            return
        try:
            self._runner.apply(tx, incident, AlertsResolved(), actor="intake")
        except IllegalTransition as error:
            tx.audit(incident_id, "intake", "dropped", {"note": str(error)})

    # --- PagerDuty's events --------------------------------------------------------------------------------------

    def heard(self, tx: Transaction, heard: Heard) -> None:
        """Every event ends here: it makes an alert, ends one, is noted on the incident, or is of no concern to us."""
        if pagerduty.is_too_old(heard, tx.now()):
            self._done(tx, "older than any delivery PagerDuty repeats: a replay, and not taken")
            tx.audit(None, "intake", "replay", {"receipt": str(self.row["receipt"]), "note": heard.event_type})
            return
        if heard.group is None:
            self._noted(tx, heard)
            return
        group = _own(heard.group)
        incident = self._firing(tx, group)
        if incident is not None and heard.incident is not None:
            tx.run(
                "link_pagerduty",
                id=heard.incident,
                incident=incident,
                dedup_key=heard.dedup_key,
                html_url=heard.html_url,
                status=heard.status,
            )
        if group.resolved:
            self._resolved(tx, group, newest=True)
            self._noted(tx, heard)
            return
        self._done(tx)

    def _noted(self, tx: Transaction, heard: Heard) -> None:
        linked = tx.one("hear_pagerduty", id=heard.incident, status=heard.status) if heard.incident else None
        if linked is None:
            self._done(tx, f"{heard.event_type}: nothing to do for it")
            return
        by = f" by {heard.by}" if heard.by else ""
        what = heard.event_type.removeprefix("incident.").replace("_", " ").replace(".", " ")
        data = {"note": f"{heard.incident} {what}{by}", "url": heard.html_url}
        tx.audit(linked["incident_id"], "pagerduty", "PagerDuty", data)
        self._done(tx)

    # --- Changes -------------------------------------------------------------------------------------------------

    def changes(self, tx: Transaction, told: Iterable[changes.Change]) -> None:
        latest = datetime.now(UTC) + timedelta(minutes=5)
        for change in told:
            at = min(change.at or self.row["received_at"], latest)
            tx.run("add_change", service=change.service, version=change.version, summary=change.summary, at=at)
        self._done(tx)


def _known(tx: Transaction, alerts: Sequence[Alert]) -> dict[tuple[str, datetime], Row]:
    if not alerts:
        return {}
    rows = tx.all(
        "known_alerts",
        fingerprints=[alert.fingerprint for alert in alerts],
        starts=[alert.starts_at for alert in alerts],
    )
    return {(row["fingerprint"], row["starts_at"].astimezone(UTC)): row for row in rows}


def _joined(tx: Transaction, incident_id: int, alerts: int, why: str) -> int:
    more = "1 more alert" if alerts == 1 else f"{alerts} more alerts"
    tx.audit(incident_id, "intake", "AlertsJoined", {"note": f"{more} {why}"})
    return incident_id


def _title(alert: Alert) -> str:
    name = alert.labels.get("alertname", "alert without a name")
    summary = alert.annotations.get("summary") or alert.labels.get("service", "")
    return f"{name}: {summary}"[:MAX_TITLE_CHARS] if summary and summary != name else name[:MAX_TITLE_CHARS]


def _resolve(
    tx: Transaction, source: str, alert: Alert, known: dict[tuple[str, datetime], Row], *, newest: bool
) -> int | None:
    """Marks the episode resolved; returns its incident. Never inferred from a missing alert.

    An episode that was never seen firing is kept without an incident: its firing may only have been overtaken. newest:
    the source has one state for all episodes, so what it says is about the last one.
    """
    ends_at = alert.ends_at or tx.now()
    row = known.get((alert.fingerprint, alert.starts_at))
    unknown = row is None
    if row is None or (newest and row["status"] == "resolved"):
        row = tx.one("latest_alert", fingerprint=alert.fingerprint)
    if row is None or row["status"] == "resolved":
        if unknown:
            tx.run(
                "add_alert",
                incident=None,
                source=source,
                ends_at=ends_at,
                fingerprint=alert.fingerprint,
                starts_at=alert.starts_at,
                status=alert.status,
                labels=jsonb(dict(alert.labels)),
                annotations=jsonb(dict(alert.annotations)),
                generator_url=alert.generator_url,
            )
        return None
    tx.run("resolve_alert", fingerprint=row["fingerprint"], starts_at=row["starts_at"], ends_at=ends_at)
    incident: int | None = row["incident_id"]
    return incident
