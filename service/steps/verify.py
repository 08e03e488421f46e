"""Verification: asks Prometheus for the alert's own signal and lets agent.verification judge it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.events import VerificationSampled
from agent.expression import Signal, signal_of
from agent.incident import Milestone
from agent.ports import NoData
from agent.verification import Judged, Plan, judge
from connectors.unreachable import Unreachable
from service.steps import evidence
from service.steps.evidence import Found
from service.steps.investigate import load_incident

if TYPE_CHECKING:
    from agent.events import Event
    from agent.incident import Incident
    from agent.ports import Metrics, Series
    from connectors.store.store import Row, Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

BEFORE_S = 60.0
"""Shown of the time before the impact."""


def verify(ports: Ports) -> Handler:
    def handle(held: Held) -> Save:
        incident = load_incident(held)
        with ports.store.transaction() as tx:
            proposal = tx.one("latest_proposal", incident=incident.id)
            runs = [row for row in tx.all("executions", incident=incident.id) if row["phase"] == "run"]
            now = tx.now()
        if proposal is None or not runs:
            raise Unreachable("store", "nothing was executed, so there is nothing to verify", permanent=True)
        approved = proposal["document"]["verification"]
        judged, series = look(ports, incident, approved, runs[-1], now)
        return _saved(held, approved, judged, series)

    return handle


def look(
    ports: Ports, incident: Incident, approved: dict[str, Any], run: Row, now: datetime
) -> tuple[Judged, tuple[Series, ...]]:
    """One look. What counts as recovery is what the approver signed, not what is configured by now."""
    signal = signal_of(approved["expr"]) if approved["expr"] else None
    nan = float("nan")
    if signal is None or ports.metrics is None:
        why = "the alert's expression is not known to us" if signal is None else "no Prometheus is configured"
        return Judged("inconclusive", why, None, nan, nan, 0), ()
    plan = Plan(float(approved["window_s"]), float(approved["deadline_s"]), float(approved["step_s"]))
    impact = incident.milestones[Milestone.IMPACT_START]
    start = min(impact, run["started_at"]) - timedelta(seconds=BEFORE_S)
    try:
        series = _series(ports.metrics, signal.query, start, now, plan.step_s)
        control = _control(ports, incident, start, now, plan.step_s)
    except Unreachable as error:
        over = (now - run["finished_at"]).total_seconds() >= plan.deadline_s
        return Judged("inconclusive" if over else "pending", str(error), None, nan, nan, 0), ()
    judged = judge(
        signal,
        series,
        control,
        plan,
        impact_from=impact.timestamp(),
        ran_from=run["started_at"].timestamp(),
        ran_to=run["finished_at"].timestamp(),
        now=now.timestamp(),
    )
    return judged, series


def _series(metrics: Metrics, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
    answer = metrics.query_range(query, start, end, step_s)
    return () if isinstance(answer, NoData) else answer


def _control(ports: Ports, incident: Incident, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
    metric = ports.configuration.traffic()
    if metric is None or ports.metrics is None:
        return ()
    series = _series(ports.metrics, metric.query, start, end, step_s)
    return tuple(one for one in series if one.labels.get(metric.service_label) == incident.service)


def _saved(held: Held, approved: dict[str, Any], judged: Judged, series: tuple[Series, ...]) -> Save:
    restored_at = None if judged.restored_at is None else datetime.fromtimestamp(judged.restored_at, UTC)
    event = VerificationSampled(judged.verdict, judged.summary, restored_at, bool(approved["rollback_on_regression"]))

    def save(tx: Transaction) -> Event:
        if judged.verdict != "pending":
            data = _data(approved, judged, series)
            found = Found("note", f"{judged.verdict.replace('_', ' ')}: {judged.summary}", data)
            evidence.store(tx, held.step, "verification", "metrics", found)
        return event

    return save


def _data(approved: dict[str, Any], judged: Judged, series: tuple[Series, ...]) -> dict[str, Any]:
    signal: Signal | None = signal_of(approved["expr"]) if approved["expr"] else None
    return {
        "verdict": judged.verdict,
        "expr": approved["expr"],
        "threshold": signal.threshold if signal else None,
        "before": _finite(judged.before),
        "after": _finite(judged.after),
        "samples": judged.samples,
        "restored_at": judged.restored_at,
        "series": [
            {
                "name": " ".join(f"{k}={v}" for k, v in sorted(one.labels.items())) or "signal",
                "times": [round(float(at), 3) for at in one.times],
                "values": [_finite(float(value)) for value in one.values],
            }
            for one in series[:6]
        ],
    }


def _finite(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
