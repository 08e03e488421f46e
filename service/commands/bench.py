"""bench: measures, prints, asserts nothing."""

from __future__ import annotations

import click

from service.cli import LazyGroup

BENCHES = {
    "build": ("lab.bench.build:build", "An index built under writes, beside a plain CREATE INDEX."),
    "advise": ("lab.bench.advise:advise", "Index advice: built, run and timed, beside others'."),
    "demo": ("lab.bench.demo:demo", "The whole incident, again and again."),
    "incidents": ("lab.bench.incidents:incidents", "Incidents of the lab replayed, beside baselines; or live."),
    "ingest": ("lab.bench.ingest:ingest", "Durable accepts a second, and storms of alerts."),
    "diagnose": ("lab.bench.diagnose:diagnose", "Every incident provoked: what it is called, and the cost of a look."),
    "learn": ("lab.bench.learn:learn", "The learning loop on sealed families, beside its baselines."),
    "pages": ("lab.bench.pages:pages", "The pages: time, bytes, open pages, delay of events."),
    "rca": ("lab.bench.rca:rca", "Root-cause ranking beside its baselines."),
    "seed": ("lab.bench.seed:command", "A store as after years of work, for measuring on."),
    "slack": ("lab.bench.slack:bench_slack", "From a click in Slack to a durable decision."),
    "sql": ("lab.bench.sql:sql", "The SQL judge: speed, and exactness against a server."),
}


@click.command(cls=LazyGroup, commands=BENCHES, epilog="\b\nExample:\n  stanch bench demo --runs 5 --json")
def bench() -> None:
    """Measure; figures are printed, never asserted."""
