"""The causal queue's steps: rank the services round the alert, then say how much each accounts for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.expression import signal_of
from agent.incident import Incident, Milestone
from agent.ports import NoData
from causal.attribution import Attribution, NotAttributed
from causal.attribution import attribute as explain
from causal.graph import ServiceGraph
from causal.rank import Ranking, rank
from causal.report import as_data
from causal.series import Frame, SeriesName, UnusableInput
from causal.step import Step, step_at
from service.steps import evidence
from service.steps.evidence import Found, Status
from service.steps.investigate import expression_of, load_incident, window

if TYPE_CHECKING:
    from agent.events import Event
    from agent.ports import Series
    from agent.runbook.skill import Check, Skill
    from connectors.store.store import Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

SIGNAL = "alert signal"
SERIES_SHOWN = 6
POINTS_SHOWN = 600


def ask_causal(ports: Ports, incident: Incident, skill: Skill, asked: Check) -> Found:  # noqa: ARG001 one signature
    """`target_leads`: yes when the ranking puts first the target or who calls it; else yes when any service stands out.

    A database's slowness queues up in its caller's connection pool, so the metrics of the two speak for the same cause.
    """
    frame, target = pull(ports, incident)
    if frame is None:
        return Found("not_visible", "no metric has samples round the alert", {})
    ranking = _rank(ports, incident, frame, target)
    data = as_data(ranking) | {"series": _shown(frame, ranking, target), "target": target}
    if ranking.abstained or not ranking.services:
        return Found("not_visible", "the metrics single out no service", data)
    first = ranking.services[0]
    says = f"{first.service} explains the metrics best ({first.probability:.2f})"
    others = ", ".join(f"{one.service} {one.probability:.2f}" for one in ranking.services[1:3])
    summary = f"{says}, then {others}" if others else says
    if asked.query != "target_leads":
        return Found("yes", summary, data)
    graph = ServiceGraph.from_edges(ports.configuration.graph)
    if incident.target is None or first.service not in {incident.target, *graph.callers.get(incident.target, ())}:
        return Found("no", summary, data)
    way = graph.path(incident.service or first.service, incident.target)
    if first.service != incident.target:
        summary += f"; it calls {incident.target} itself"
    return Found("yes", summary, data | ({"paths": [list(way)]} if way else {}))


def attribute(ports: Ports) -> Handler:
    """How large the alert's change is and how much of it the leading services account for, each with an interval."""

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        frame, target = pull(ports, incident)
        if frame is None or target is None:
            return _note(held, Found("not_visible", "no series of the alert's own signal to attribute", {}))
        ranking = _rank(ports, incident, frame, target)
        found = explain(frame, ranking, ServiceGraph.from_edges(ports.configuration.graph), target, seed=incident.id)
        status, text = _told(found)
        step = _step(frame, ranking, target)
        data = as_data(ranking, found)["attribution"] | {"step": None if step is None else asdict(step)}
        if step is not None:
            text += f"; the alert's signal stepped by {step.effect:+.3g} ({step.low:+.3g} to {step.high:+.3g})"
        return _note(held, Found(status, text, data))

    return handle


def _told(found: Attribution | NotAttributed) -> tuple[Status, str]:
    if isinstance(found, NotAttributed):
        return "not_visible", f"not attributed: {found.reason}"
    best = max(found.shares, key=lambda share: abs(share.effect), default=None)
    if best is None:
        return "note", "no candidate explains the signal"
    doubt = "; refuted: normal life shows as much" if best.refuted else ""
    return "note", (
        f"{best.series.service} {best.series.metric} accounts for {best.effect:+.3g} of {found.change:+.3g} "
        f"({best.low:+.3g} to {best.high:+.3g}){doubt}"
    )


def _step(frame: Frame, ranking: Ranking, target: str) -> Step | None:
    values = frame.column(SeriesName.parse(target))
    if ranking.change is None or values is None:
        return None
    return step_at(frame.times, values, ranking.change.time)


def _note(held: Held, found: Found) -> Save:
    def save(tx: Transaction) -> Event | None:
        evidence.store(tx, held.step, "attribution", "causal", found)
        tx.audit(held.step.incident_id, "worker", "Attributed", {"note": found.summary})
        return None

    return save


def _rank(ports: Ports, incident: Incident, frame: Frame, target: str | None) -> Ranking:
    return rank(
        frame,
        alert_time=incident.milestones[Milestone.DETECTED].timestamp(),
        target=target,
        graph=ServiceGraph.from_edges(ports.configuration.graph),
        seed=incident.id,
    )


def pull(ports: Ports, incident: Incident) -> tuple[Frame | None, str | None]:
    """The configured metrics round the alert as one frame, and the column that is the alert's own signal."""
    if ports.metrics is None:
        return None, None
    start, now = window(ports, incident)
    step_s = ports.configuration.ranking.step_s
    columns: dict[str, np.ndarray] = {}
    times: np.ndarray | None = None
    for metric in ports.configuration.metrics:
        series = ports.metrics.query_range(metric.query, start, now, step_s)
        for one in () if isinstance(series, NoData) else series:
            service = one.labels.get(metric.service_label)
            if service:
                times = one.times
                _add(columns, f"{service}|{metric.name}", one.values)
    target = _pull_signal(ports, incident, start, now, step_s, columns)
    if times is None:
        return None, None
    try:
        return Frame.from_columns(times, columns), target
    except UnusableInput:
        return None, None


def _pull_signal(
    ports: Ports, incident: Incident, start: Any, now: Any, step_s: float, columns: dict[str, np.ndarray]
) -> str | None:
    expr = expression_of(ports.metrics, ports, incident)
    signal = signal_of(expr) if expr else None
    if signal is None or ports.metrics is None or incident.service is None:
        return None
    series: tuple[Series, ...] | NoData = ports.metrics.query_range(signal.query, start, now, step_s)
    if isinstance(series, NoData):
        return None
    name = f"{incident.service}|{SIGNAL}"
    for one in series:
        _add(columns, name, one.values)
    return name


def _add(columns: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    """Several series of one service and metric count as their sum: instances behind one name."""
    columns[name] = (
        values
        if name not in columns
        else np.where(np.isnan(columns[name]), values, columns[name] + np.nan_to_num(values))
    )


def _shown(frame: Frame, ranking: Ranking, target: str | None) -> list[dict[str, Any]]:
    """Series for the page: the alert's own first, then those that speak loudest. NaN becomes null."""
    order = [target] if target else []
    order += [f"{one.service}|{one.metric}" for one in ranking.metrics]
    names = list(dict.fromkeys(order))[:SERIES_SHOWN]
    by_name = {str(name): index for index, name in enumerate(frame.names)}
    keep = slice(max(0, len(frame.times) - POINTS_SHOWN), None)
    return [
        {
            "name": name,
            "times": [round(float(at), 3) for at in frame.times[keep]],
            "values": [float(f"{v:.5g}") if np.isfinite(v) else None for v in frame.values[keep, by_name[name]]],
        }
        for name in names
        if name in by_name
    ]
