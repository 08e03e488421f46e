"""`stanch bench demo`: the whole incident again and again on one production, with instant approval."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from agent.database.checks import WINDOW_S
from lab.demo import NORMAL_LOAD_S, Run, Teller, approve_at_once, between, epoch
from lab.faults import named
from lab.production import Production, Scale, free_place
from lab.story import Story

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent.parent
FAULT = "missing-index"
SAMPLING_CHECKS = frozenset({"workload_sample"})
"""Checks whose time is mostly a sampling interval that was asked for, not work."""

SHOWN = (
    ("condition true → proposal", "condition_to_proposal_seconds"),
    ("own work", "own_work_seconds"),
    ("build, by the server", "build_seconds"),
    ("approval → valid, beyond the build", "build_overhead_seconds"),
    ("fault → restored", "total"),
    ("restored → verified", "restored_to_verified_seconds"),
    ("longest gap between writes", "longest_write_gap_seconds"),
)


@click.command(epilog="\b\nExample:\n  stanch bench demo --runs 5 --json")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "json_", is_flag=True, help="A JSON object a run, then one with the memory of each process.")
def demo(runs: int, json_: bool) -> None:
    """The demo's incident, RUNS times, approved at once. Prints seconds; asserts nothing."""
    scale = Scale(policy=(("rate_limit", {"executions": runs, "window_s": 3600}),))
    with Production(free_place(ROOT / "var" / "bench"), cache=ROOT / ".cache", scale=scale, progress=_quiet) as lab:
        lab.seed(lambda phase, share: click.echo(f"shop's data: {phase} {share:.0%}", err=True))
        began = time.monotonic()
        lab.start_servers()
        lab.start_shop()
        click.echo(f"up after {time.monotonic() - began:.1f} s", err=True)
        rows = [_one(lab, number, runs, json_) for number in range(1, runs + 1)]
        memory = pss_megabytes(lab)
    if json_:
        click.echo(json.dumps({"pss_megabytes": memory}))
    else:
        _table(rows, memory)
    sys.exit(0 if all(row["outcome"] == "recovered" for row in rows) else 1)


def _quiet(_line: str) -> None:
    """Progress of the servers is not what is measured."""


def _one(lab: Production, number: int, runs: int, json_: bool) -> dict[str, Any]:
    fault = named(FAULT)
    if number > 1:
        fault.undo(lab)
    click.echo(f"run {number} of {runs}: {NORMAL_LOAD_S:.0f} s of normal load first", err=True)
    time.sleep(NORMAL_LOAD_S)
    lab.group.check()
    story = Story(Console(stderr=True, highlight=False, soft_wrap=True))
    run = Teller(lab, story, approve_at_once(lab, story)).run(fault)
    row = figures(lab, run)
    if json_:
        click.echo(json.dumps(row))
    return row


def figures(lab: Production, run: Run) -> dict[str, Any]:
    """One run's line. own_work_seconds: from the alert's receipt to the proposal, sampling intervals taken out.
    build_overhead_seconds: from the approval to the valid index, less the server's own build time.
    """
    gap = None if run.started_at is None else lab.gap_seconds(run.started_at, run.built_at)
    execution = run.incident["executions"][0] if run.incident.get("executions") else {}
    command_began, command_ended = (epoch(execution.get(f"command_{end}_at")) for end in ("started", "finished"))
    build, approved_to_valid = between(command_began, command_ended), between(run.decided_at, command_ended)
    return {
        "outcome": run.outcome,
        "seconds": run.seconds(),
        "own_work_seconds": own_work_seconds(run),
        "longest_write_gap_seconds": None if gap is None else round(gap, 3),
        "condition_to_proposal_seconds": between(run.condition_at, run.proposed_at),
        "build_seconds": build,
        "build_overhead_seconds": None if approved_to_valid is None or build is None
        else round(approved_to_valid - build, 3),
        "restored_to_verified_seconds": between(run.restored_at, run.verified_at),
    }  # fmt: skip


def own_work_seconds(run: Run) -> float | None:
    """Receipt to proposal without the three seconds that a sample is asked to last."""
    total = between(run.opened_at, run.proposed_at)
    evidence = {row["check"]: epoch(row["at"]) for row in run.incident.get("evidence", ())}
    if total is None or not SAMPLING_CHECKS & set(evidence):
        return total
    return round(total - _window_s(run.incident), 3)


def _window_s(incident: Mapping[str, Any]) -> float:
    return WINDOW_S if any(row["check"] == "workload_sample" for row in incident["evidence"]) else 0.0


def pss_megabytes(lab: Production) -> dict[str, float | None]:
    """Proportional set size of each Python process of Stanch: pages shared with others count in part."""
    found: dict[str, float | None] = {}
    for child in lab.group.children():
        if child.name in {"serve", "worker-agent", "worker-causal", "executor"}:
            found[child.name] = _pss(child.pid)
    return found


def _pss(pid: int) -> float | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    kilobytes = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return round(kilobytes / 1000, 1)


def _table(rows: list[dict[str, Any]], memory: Mapping[str, float | None]) -> None:
    click.echo(f"{'':32} {'median':>8} {'worst':>8}   seconds")
    for name, key in SHOWN:
        values = [value for row in rows if (value := {**row, **row["seconds"]}[key]) is not None]
        if values:
            click.echo(f"{name:36} {statistics.median(values):8.2f} {max(values):8.2f}")
    click.echo("outcomes: " + ", ".join(str(row["outcome"]) for row in rows))
    click.echo("PSS, MB: " + ", ".join(f"{name} {value}" for name, value in memory.items()))
