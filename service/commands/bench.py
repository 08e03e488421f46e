"""bench: measures, prints, asserts nothing."""

from __future__ import annotations

import click

from service.cli import LazyGroup

BENCHES = {
    "demo": ("lab.bench.demo:demo", "The whole incident, again and again."),
    "ingest": ("lab.bench.ingest:ingest", "Durable accepts a second, and storms of alerts."),
    "rca": ("lab.bench.rca:rca", "Root-cause ranking beside its baselines."),
    "sql": ("lab.bench.sql:sql", "The SQL judge: speed, and exactness against a server."),
}


@click.command(cls=LazyGroup, commands=BENCHES, epilog="\b\nExample:\n  stanch bench demo --runs 5 --json")
def bench() -> None:
    """Measure; figures are printed, never asserted."""
