"""Intake: a stored body becomes alerts and an incident. Nothing that was answered 202 is lost here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from agent.events import AlertsResolved
from agent.incident import IncidentState, Milestone
from agent.machine import IllegalTransition, Step
from connectors import alertmanager
from connectors.store.store import Row, Transaction, jsonb
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from agent.alert import Alert, AlertGroup
    from agent.events import Event
    from service.steps.runner import Held, Runner, Save

MAX_TITLE_CHARS = 200


def intake(held: Held) -> Save:
    """Reads one inbox row. A body that cannot be read is quarantined: visible, never retried, never lost."""
    runner = held.runner
    with runner.store.transaction() as tx:
        row = tx.one("inbox", id=held.step.args["inbox"])
    if row is None:
        raise Unreachable("store", "the inbox row is gone", permanent=True)
    if row["source"] == "changes":
        return _changes(row)
    try:
        group = alertmanager.read(bytes(row["body"]))
    except alertmanager.UnusablePayload as error:
        return _quarantine(row, str(error))
    return lambda tx: _alerts(tx, runner, row, group)


def _quarantine(row: Row, reason: str) -> Save:
    def save(tx: Transaction) -> Event | None:
        tx.run("mark_inbox", id=row["id"], state="quarantined", reason=reason)
        tx.audit(None, "intake", "quarantined", {"receipt": str(row["receipt"]), "note": reason})
        return None

    return save


def _alerts(tx: Transaction, runner: Runner, row: Row, group: AlertGroup) -> None:
    new = _new_firing(tx, group)
    incident_id = _incident_for(tx, row, group, new) if new else None
    for alert in group.firing:
        known = _known(tx, alert)
        belongs_to = known["incident_id"] if known else incident_id
        tx.run("add_alert", incident=belongs_to, source=group.source, ends_at=alert.ends_at, **_columns(alert))
    for touched in {found for alert in group.resolved if (found := _resolve(tx, group.source, alert)) is not None}:
        _over(tx, runner, touched)
    tx.run("mark_inbox", id=row["id"], state="processed", reason=None)


def _columns(alert: Alert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "status": alert.status,
        "labels": jsonb(dict(alert.labels)),
        "annotations": jsonb(dict(alert.annotations)),
        "generator_url": alert.generator_url,
    }


def _known(tx: Transaction, alert: Alert) -> Row | None:
    rows = tx.all("known_alerts", fingerprints=[alert.fingerprint], starts=[alert.starts_at])
    return rows[0] if rows else None


def _new_firing(tx: Transaction, group: AlertGroup) -> list[Alert]:
    """Episodes never seen: a repeated notification only refreshes "last seen"."""
    return [alert for alert in group.firing if _known(tx, alert) is None]


def _incident_for(tx: Transaction, row: Row, group: AlertGroup, new: list[Alert]) -> int:
    """Joins the open incident of the group, or opens one with a triage step."""
    key = f"{group.source}:{group.key}"
    found = tx.one("open_incident_for", correlation_key=key)
    if found:
        tx.audit(found["id"], "intake", "AlertsJoined", {"note": f"{len(new)} more alerts of the same group"})
        joined: int = found["id"]
        return joined
    first = min(new, key=lambda alert: (alert.starts_at, alert.fingerprint))
    opened = tx.one(
        "add_incident",
        correlation_key=key,
        title=_title(first),
        service=first.labels.get("service"),
        severity=first.labels.get("severity"),
        labels=jsonb(dict(first.labels)),
        annotations=jsonb(dict(first.annotations)),
        milestones=jsonb(
            {
                Milestone.IMPACT_START: first.starts_at.isoformat(),
                Milestone.DETECTED: row["received_at"].isoformat(),
            }
        ),
    )
    if opened is None:
        # Another notification of the group opened it between our look and our insert: take this step again.
        raise Unreachable("store", "the group's incident is being opened by another process")
    tx.audit(opened["id"], "intake", "AlertReceived", {"note": _title(first), "receipt": str(row["receipt"])})
    tx.add_step(opened["id"], Step("triage", "agent"))
    number: int = opened["id"]
    return number


def _title(alert: Alert) -> str:
    name = alert.labels.get("alertname", "alert without a name")
    summary = alert.annotations.get("summary") or alert.labels.get("service", "")
    return f"{name}: {summary}"[:MAX_TITLE_CHARS] if summary else name[:MAX_TITLE_CHARS]


def _resolve(tx: Transaction, source: str, alert: Alert) -> int | None:
    """Marks the episode resolved; returns its incident. Never inferred from a missing alert.

    An episode that was never seen firing is kept without an incident: its firing may only have been overtaken.
    """
    ends_at = alert.ends_at or tx.now()
    known = _known(tx, alert)
    row = known or tx.one("latest_alert", fingerprint=alert.fingerprint)
    if row is None or row["status"] == "resolved":
        if known is None:
            tx.run("add_alert", incident=None, source=source, ends_at=ends_at, **_columns(alert))
        return None
    tx.run("resolve_alert", fingerprint=row["fingerprint"], starts_at=row["starts_at"], ends_at=ends_at)
    incident: int = row["incident_id"]
    return incident


def _over(tx: Transaction, runner: Runner, incident_id: int) -> None:
    incident = tx.incident(incident_id, lock=True)
    firing = tx.one("firing_alerts", incident=incident_id)
    if incident is None or firing is None or firing["firing"] or incident.state is IncidentState.CLOSED:
        return
    try:
        runner.apply(tx, incident, AlertsResolved(), actor="intake")
    except IllegalTransition as error:
        tx.audit(incident_id, "intake", "dropped", {"note": str(error)})


class _Change(BaseModel):
    """A deploy or another change: {"service", "version"?, "summary"?, "at"?}."""

    model_config = ConfigDict(extra="ignore")

    service: str = Field(min_length=1, max_length=200)
    version: str | None = Field(default=None, max_length=200)
    summary: str = Field(default="deploy", max_length=1000)
    at: AwareDatetime | None = None


def _changes(row: Row) -> Save:
    try:
        document = orjson.loads(bytes(row["body"]))
        changes = [_Change.model_validate(one) for one in (document if isinstance(document, list) else [document])]
    except orjson.JSONDecodeError as error:
        return _quarantine(row, f"not JSON: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        return _quarantine(row, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    latest = datetime.now(UTC) + timedelta(minutes=5)

    def save(tx: Transaction) -> Event | None:
        for change in changes:
            at = min(change.at or row["received_at"], latest)
            tx.run(
                "add_change",
                service=_clean(change.service),
                version=_clean(change.version) if change.version else None,
                summary=_clean(change.summary),
                at=at,
            )
        tx.run("mark_inbox", id=row["id"], state="processed", reason=None)
        return None

    return save


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")
