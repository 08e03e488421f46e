"""What the metrics round an alert show: the frame the ranking works on, its answer, the families metric checks read.

Everything comes through the Metrics port, so that a recording answers the same questions as Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agent.expression import signal_of
from agent.metric_checks import Answer, Family, Seen
from agent.ports import NoData, Series, total
from causal.graph import ServiceGraph
from causal.rank import Ranking, rank
from causal.report import as_data
from causal.series import Frame, UnusableInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from agent.metric_checks import Change, Kind
    from agent.ports import Metrics

SIGNAL = "alert signal"
SERIES_SHOWN = 6
POINTS_SHOWN = 600


class Metric(Protocol):
    """An entry of stanch.yaml's `metrics`: its query gives one series a value of service_label."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def query(self) -> str: ...
    @property
    def service_label(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Around:
    """An alert and where to look round it.

    expr: the alert's own expression, None when nobody knows it. metrics, graph (caller, callee) and databases (names of
    targets) are the configuration's. start to end is the window, step_s apart; detected: when the alert fired.
    """

    service: str | None
    target: str | None
    expr: str | None
    start: datetime
    end: datetime
    impact_start: datetime
    detected: datetime
    step_s: float
    metrics: Sequence[Metric]
    graph: Sequence[tuple[str, str]]
    databases: Collection[str] = ()
    changes: Sequence[Change] = field(default_factory=tuple)

    def calls(self) -> ServiceGraph:
        return ServiceGraph.from_edges(self.graph)


def pull(metrics: Metrics, around: Around) -> tuple[Frame | None, str | None]:
    """The configured metrics as one frame, and the column that is the alert's own signal. None: no samples, no signal.

    Raises what the port raises.
    """
    columns: dict[str, np.ndarray] = {}
    times: np.ndarray | None = None
    for metric in around.metrics:
        series = metrics.query_range(metric.query, around.start, around.end, around.step_s)
        for one in () if isinstance(series, NoData) else series:
            service = one.labels.get(metric.service_label)
            if service:
                times = one.times
                _add(columns, f"{service}|{metric.name}", one.values)
    target = _pull_signal(metrics, around, columns)
    if times is None:
        return None, None
    try:
        return Frame.from_columns(times, columns), target
    except UnusableInput:
        return None, None


def _pull_signal(metrics: Metrics, around: Around, columns: dict[str, np.ndarray]) -> str | None:
    signal = signal_of(around.expr) if around.expr else None
    if signal is None or around.service is None:
        return None
    series = metrics.query_range(signal.query, around.start, around.end, around.step_s)
    if isinstance(series, NoData):
        return None
    name = f"{around.service}|{SIGNAL}"
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


def ranked(around: Around, frame: Frame, target: str | None, *, seed: int) -> Ranking:
    """target: the column of the alert's signal."""
    return rank(frame, alert_time=around.detected.timestamp(), target=target, graph=around.calls(), seed=seed)


def answered(around: Around, query: str, frame: Frame | None, target: str | None, *, seed: int) -> Answer:
    """`target_leads`: yes when the ranking puts first the target or who calls it; else yes when any service stands out.

    A database's slowness queues up in its caller's connection pool, so the metrics of the two speak for the same cause.
    """
    if frame is None:
        return Answer("not_visible", "no metric has samples round the alert", {})
    ranking = ranked(around, frame, target, seed=seed)
    return told(around, query, ranking, as_data(ranking) | {"series": _shown(frame, ranking, target), "target": target})


def told(around: Around, query: str, ranking: Ranking, data: Mapping[str, Any]) -> Answer:
    """What a ranking answers to a check's query. data: the ranking as evidence."""
    if ranking.abstained or not ranking.services:
        # That nobody stands out is an answer to whether anybody does; whether the target does stays open.
        said = "the metrics single out no service"
        return Answer("not_visible", said, data) if query == "target_leads" else Answer("no", said, data)
    first = ranking.services[0]
    says = f"{first.service} explains the metrics best ({first.probability:.2f})"
    others = ", ".join(f"{one.service} {one.probability:.2f}" for one in ranking.services[1:3])
    summary = f"{says}, then {others}" if others else says
    if query != "target_leads":
        return Answer("yes", summary, data)
    graph = around.calls()
    if around.target is None or first.service not in {around.target, *graph.callers.get(around.target, ())}:
        return Answer("no", summary, data)
    way = _way(around, graph, ranking)
    if first.service != around.target:
        summary += f"; it calls {around.target} itself"
    return Answer("yes", summary, {**data, **({"paths": [list(way)]} if way else {})})


def _way(around: Around, graph: ServiceGraph, ranking: Ranking) -> tuple[str, ...]:
    """From the alert's service to the target, by way of the target's caller that the ranking puts first."""
    target = around.target or ""
    start = around.service or ranking.services[0].service
    callers = graph.callers.get(target, ())
    for caller in (one.service for one in ranking.services if one.service in callers):
        if way := graph.path(start, caller):
            return (*way, target)
    return graph.path(start, target)


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


# --- For the metric checks -----------------------------------------------------------------------------------------


def seen(metrics: Metrics, around: Around, kinds: Collection[Kind]) -> Seen:
    """The configured families of these kinds round the alert, with the graph and the changes. Raises as the port."""
    families = []
    for metric in around.metrics:
        if metric.kind not in kinds:
            continue
        series = metrics.query_range(metric.query, around.start, around.end, around.step_s)
        families.append(Family(metric.name, metric.kind, _by_service(series, metric.service_label)))
    callees: dict[str, tuple[str, ...]] = {}
    for caller, callee in around.graph:
        callees[caller] = (*callees.get(caller, ()), callee)
    return Seen(
        families=families,
        callees=callees,
        databases=frozenset(around.databases),
        service=around.service,
        impact_start=around.impact_start.timestamp(),
        changes=around.changes,
    )


def _by_service(series: tuple[Series, ...] | NoData, label: str) -> dict[str, Series]:
    """Instances behind one name count as their sum; what names no service is kept under ""."""
    named: dict[str, list[Series]] = {}
    for one in () if isinstance(series, NoData) else series:
        named.setdefault(one.labels.get(label, ""), []).append(one)
    return {
        service: rows[0] if len(rows) == 1 else Series({label: service}, rows[0].times, total(rows))
        for service, rows in named.items()
    }
