"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response, status
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from connectors.unreachable import Unreachable
from service.context import Context, Held
from service.pages.figures import BEGINNING, BOUNDS_S, buckets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

router = APIRouter(tags=["health"])
FRESH_S = 20.0


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers. Says nothing about the store."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(held: Held) -> Response:
    """503 while the store does not answer."""
    try:
        with held.ports.store.transaction() as tx:
            processes = tx.all("processes")
            backlog = tx.one("backlog")
            integrations = {row["name"]: row["ok"] for row in tx.all("integrations")}
    except Unreachable as error:
        return JSONResponse({"status": "store away", "detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)
    alive = sorted({row["kind"] for row in processes if row["age_s"] < FRESH_S})
    # What is wrong with one of them is for `stanch doctor` and the audit: this page asks nobody who he is.
    said = {"status": "ready", "processes": alive, "backlog": backlog, "integrations": integrations}
    return JSONResponse(said)


@router.get("/metrics")
def metrics(held: Held) -> Response:
    """Counts for Prometheus; 503 while the store does not answer."""
    try:
        return Response(generate_latest(_registry(held)), media_type=CONTENT_TYPE_LATEST)
    except Unreachable as error:
        return Response(f"# store away: {error}\n", status.HTTP_503_SERVICE_UNAVAILABLE, media_type="text/plain")


def _registry(held: Context) -> CollectorRegistry:
    registry = CollectorRegistry()
    incidents = Gauge("stanch_incidents", "Incidents by state and outcome", ["state", "outcome"], registry=registry)
    steps = Gauge("stanch_steps", "Steps that are due or running", ["state"], registry=registry)
    up = Gauge("stanch_process_seen_seconds", "Since a process said it is there", ["kind"], registry=registry)
    works = Gauge("stanch_integration_ok", "1 when the system answered as it should", ["name"], registry=registry)
    with held.ports.store.transaction() as tx:
        for row in tx.all("incident_ages"):
            incidents.labels(row["state"], row["outcome"] or "").set(row["n"])
        backlog = tx.one("backlog") or {}
        for row in tx.all("integrations"):
            works.labels(row["name"]).set(row["ok"])
        ages = [(row["kind"], row["age_s"]) for row in tx.all("processes")]
        times = buckets(tx.all("stage_buckets", negated=[-bound for bound in reversed(BOUNDS_S)]))
        fixes = tx.all("fix_outcomes", since=BEGINNING, until=tx.now(), service=None, severity=None)
    for kind in {kind for kind, _ in ages}:
        # Earlier processes of the kind stay in the table; the newest sign of life counts.
        up.labels(kind).set(min(age for one, age in ages if one == kind))
    for state in ("due", "running"):
        steps.labels(state).set(backlog.get(state, 0))
    outcomes = Gauge("stanch_fixes", "Proposed fixes by what became of them", ["outcome"], registry=registry)
    for row in fixes:
        outcomes.labels(row["outcome"]).set(row["n"])
    registry.register(_Histograms(times))
    return registry


class _Histograms(Collector):
    """Times of all incidents, counted by the store."""

    def __init__(self, times: Mapping[str, tuple[list[tuple[str, float]], float]]) -> None:
        self._times = times

    def collect(self) -> Iterator[HistogramMetricFamily]:
        restore = HistogramMetricFamily("stanch_time_to_restore_seconds", "From impact start to restored")
        stages = HistogramMetricFamily("stanch_stage_seconds", "Of each stage of an incident", labels=["stage"])
        for stage, (counted, total) in self._times.items():
            if stage == "restore":
                restore.add_metric([], counted, total)
            else:
                stages.add_metric([stage], counted, total)
        yield from (restore, stages)
