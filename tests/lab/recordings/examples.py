"""A small recording, for the tests of what reads and writes them."""

from __future__ import annotations

from dataclasses import replace

from lab.recordings.recording import Alert, Announced, Line, MetricFamily, Recording, Samples
from tests.agent.replay.cases import MADE, case

FIRED_AT = 1_790_000_045.0


def recording(name: str, *, mechanism: str = "missing_index", alert: str = "StorefrontSlow") -> Recording:
    """60 samples of two families for three services; the signal rises at sample 30."""
    known = mechanism if mechanism in MADE else "missing_index"
    made = case(known, alert)
    lines = tuple(
        Line({"service": service}, tuple(_value(service, at) for at in range(60)))
        for service in ("storefront", "orders", "orders-db")
    )
    return Recording(
        id=name,
        fault=name.rpartition("-")[0],
        seed=1,
        recorded_at="2026-11-22T04:00:00+00:00",
        alert=Alert(
            labels=made.labels,
            annotations={"summary": "storefront answers slowly"},
            injected_at=FIRED_AT - 18,
            active_at=FIRED_AT - 15,
            fired_at=FIRED_AT,
            received_at=FIRED_AT + 0.3,
            expr="p99 > 0.5",
            for_s=5.0,
        ),
        service=made.service,
        target=made.target,
        answers=made.answers,
        looked_at=(FIRED_AT + 0.4, FIRED_AT + 6.4),
        samples=Samples(
            start=FIRED_AT - 45,
            step_s=1.0,
            count=60,
            families=(MetricFamily("latency", "latency", "mean", "service", lines),),
            signal=MetricFamily("signal", "other", "p99", "service", lines[:1]),
        ),
        changes=(Announced("orders", "orders-881", "an index is gone", FIRED_AT - 18),),
        graph=(("storefront", "orders"), ("orders", "orders-db")),
        truth=replace(made.truth, fault=name.rpartition("-")[0], mechanism=mechanism),
        restored_by="action" if made.truth.action else "",
        load=(1.0, 1.5, 2.0),
        versions={"postgresql": "15.8"},
        tape=({}, {}),
    )


def _value(service: str, at: int) -> float | None:
    if at == 7:
        return None
    return 0.02 + (0.9 if at >= 30 and service != "orders" else 0.0) + at % 3 / 1000
