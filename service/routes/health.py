"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from agent.postmortem import durations_s
from connectors.store.store import incident_from_row
from connectors.unreachable import Unreachable
from service.context import Context, Held, KnownPerson

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
    except Unreachable as error:
        return JSONResponse({"status": "store away", "detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)
    alive = sorted({row["kind"] for row in processes if row["age_s"] < FRESH_S})
    return JSONResponse({"status": "ready", "processes": alive, "backlog": backlog})


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
    with held.ports.store.transaction() as tx:
        for row in tx.all("incident_ages"):
            incidents.labels(row["state"], row["outcome"] or "").set(row["n"])
        backlog = tx.one("backlog") or {}
        ages = [(row["kind"], row["age_s"]) for row in tx.all("processes")]
    for kind in {kind for kind, _ in ages}:
        # Earlier processes of the kind stay in the table; the newest sign of life counts.
        up.labels(kind).set(min(age for one, age in ages if one == kind))
    for state in ("due", "running"):
        steps.labels(state).set(backlog.get(state, 0))
    return registry


@router.get("/api/v1/ttr", tags=["incidents"])
def ttr(
    held: Held,
    person: KnownPerson,  # noqa: ARG001 its presence is the check
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:
    """Time to restore: restored minus impact start, one row an incident; null while it is open. Seconds."""
    with held.ports.store.transaction() as tx:
        incidents = [incident_from_row(row) for row in tx.all("incidents", states=None, before=None, limit=limit)]
    return {
        "definition": "restored - impact_start, seconds; null: not restored (yet)",
        "incidents": [
            {"id": one.key, "outcome": one.outcome, "state": one.state, **durations_s(one.milestones)}
            for one in incidents
        ],
    }
