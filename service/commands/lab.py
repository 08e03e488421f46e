"""lab up, down, status, list, run: the simulated production, one fault at a time; its recordings are beside."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from service.commands.development import CACHE, stop_on_signals
from service.commands.failures import CommandFailed
from service.commands.recordings import record, replay, report
from service.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.faults import Fault
    from lab.running import Place
    from lab.story import Story

INTERRUPTED = 130


@click.group(
    epilog="\b\nExamples:\n  stanch lab list\n  stanch lab up --detach\n  stanch lab run missing-index --json\n"
    "  stanch lab down"
)
def lab() -> None:
    """A shop on real servers that can be broken on purpose. It never touches a configured target or store."""


@lab.command("list", epilog="\b\nExample:\n  stanch lab list --json")
@click.option("--json", "json_", is_flag=True, help="One JSON object a fault.")
def list_(json_: bool) -> None:
    """The faults there are, with their ground truth."""
    from lab.faults import FAULTS

    for fault in FAULTS:
        row = {
            "name": fault.name,
            "component": fault.component,
            "mechanism": fault.mechanism_id,
            "description": fault.mechanism,
            "expected_action": fault.expected_action,
            "alerts": list(fault.alerts),
            "announced": fault.change is not None,
            "also": [list(other) for other in fault.also],
        }
        click.echo(json.dumps(row) if json_ else f"{fault.name:34} {fault.component:11} {fault.mechanism}")


@lab.command(epilog="\b\nExamples:\n  stanch lab up --seed 7\n  stanch lab up --detach --json")
@click.option("--seed", type=int, default=None, help="The same customers at the same moments again.")
@click.option("--rows", type=click.IntRange(1_000), default=None, help="Orders in the shop; 2.4 million by default.")
@click.option("--detach", is_flag=True, help="Return once everything is up; `stanch lab down` ends it.")
@click.option("--json", "json_", is_flag=True, help="With --detach: where it answers, as one JSON object.")
def up(seed: int | None, rows: int | None, detach: bool, json_: bool) -> None:
    """Start the shop, what watches it, and Stanch, until Ctrl-C. Several labs run side by side."""
    from lab.production import Scale
    from lab.session import POLICY, serve
    from lab.session import detach as in_background

    stop_on_signals()
    story, base = _story(), _base()
    try:
        if detach:
            arguments = [f"--{name}={value}" for name, value in (("seed", seed), ("rows", rows)) if value is not None]
            running = in_background(base, arguments, story)
            click.echo(json.dumps(_shown(running.place, "up", running.pid, running)) if json_ else running.login_url)
            return
        scale = Scale(policy=POLICY, seed=seed) if rows is None else Scale(rows=rows, policy=POLICY, seed=seed)
        serve(base, CACHE, scale, story)
    except KeyboardInterrupt:
        story.plain("stopped; nothing is left running")
        sys.exit(INTERRUPTED)


@lab.command(epilog="\b\nExamples:\n  stanch lab down\n  stanch lab down lab-2")
@click.argument("name", required=False)
def down(name: str | None) -> None:
    """End the labs of this data directory, or the one of that NAME; also what a crash left behind."""
    from lab.running import take_down

    found = [place for place in _places() if name in {None, place.path.name}]
    if name is not None and not found:
        known = ", ".join(place.path.name for place in _places()) or "none"
        raise CommandFailed(f"no lab is named {name!r}; there are: {known}")
    for place in found:
        take_down(place, lambda line: click.echo(line, err=True))
        click.echo(f"{place.path.name}: {'ended' if place.owner is not None else 'cleaned up'}")
    if not found:
        click.echo("no lab is there")


@lab.command(epilog="\b\nExample:\n  stanch lab status --json")
@click.option("--json", "json_", is_flag=True, help="One JSON object a lab.")
def status(json_: bool) -> None:
    """The labs of this data directory and the alerts that are on. Exit 1 when none is up."""
    found = _places()
    for place in found:
        row = _shown(str(place.path), place.state, place.owner, place.running)
        if json_:
            click.echo(json.dumps(row))
            continue
        alerts = " ".join(f"{name}:{state}" for name, state in row.get("alerts", {}).items())
        click.echo(f"{place.path.name:8} {place.state:9} {row.get('dashboard', '')}  {alerts}".rstrip())
    sys.exit(0 if any(place.running is not None for place in found) else 1)


@lab.command(epilog="\b\nExamples:\n  stanch lab run missing-index --json\n  stanch lab run traffic-surge --seed 7")
@click.argument("fault")
@click.option(
    "--seed", type=int, default=None, help="Of a lab of its own: the same customers at the same moments again."
)
@click.option("--json", "json_", is_flag=True, help="One JSON object: truth, diagnosis, outcome, seconds.")
def run(fault: str, seed: int | None, json_: bool) -> None:
    """Break the shop, let Stanch work with an instant approval, undo the fault, print what came of it.

    In the lab that is up, else, or with --seed, in one that is started for it and ended after. Exit 0 when Stanch did
    what the fault's truth asks for, be it nothing; 1 when not.
    """
    chosen = _named(fault)
    stop_on_signals()
    story = _story()
    try:
        row = _run(chosen, seed, story)
    except KeyboardInterrupt:
        story.plain("stopped; the fault is undone")
        sys.exit(INTERRUPTED)
    cause = row["cause"]
    click.echo(json.dumps(row) if json_ else f"{row['outcome']}: {cause['title'] if cause else 'no cause'}")
    sys.exit(0 if row["as_expected"] else 1)


for command in (record, replay, report):
    lab.add_command(command)


def _run(fault: Fault, seed: int | None, story: Story) -> Mapping[str, Any]:
    from lab.faults import CannotInjectError
    from lab.production import Production, Scale, free_place
    from lab.session import run_in, start

    there = next((place.running for place in _places() if place.running is not None), None)
    try:
        if there is not None and seed is None:
            return run_in(there, there.since, fault, story)
        scale = Scale(seed=seed)
        with Production(free_place(_base()), cache=CACHE, scale=scale, progress=_ignore) as production:
            start(production, story)
            return run_in(production, production.running.since, fault, story)
    except CannotInjectError as refused:
        raise CommandFailed(f"{fault.name} cannot be injected: {refused}") from refused


def _named(fault: str) -> Fault:
    from lab.faults import named

    try:
        return named(fault)
    except ValueError as error:
        raise CommandFailed(str(error)) from error


def _base() -> Path:
    return load().data_dir / "lab"


def _places() -> tuple[Place, ...]:
    from lab.running import places

    return places(_base())


def _story() -> Story:
    from rich.console import Console

    from lab.story import Story

    return Story(Console(stderr=True, highlight=False, soft_wrap=True))


def _shown(path: str, state: str, pid: int | None, running: Any) -> dict[str, Any]:
    """Without a secret but the dashboard's one-time code."""
    row: dict[str, Any] = {"place": path, "state": state, "pid": pid}
    if running is None:
        return row
    row |= {"since": running.since, "rows": running.rows, "seed": running.seed}
    row |= {"dashboard": running.login_url, "prometheus": running.prometheus_url}
    return row | {"alerts": _alerts(running)}


def _alerts(running: Any) -> dict[str, str]:
    import httpx

    try:
        found: dict[str, str] = running.alerts()
    except httpx.HTTPError:
        return {}
    return found


def _ignore(_line: str) -> None:
    """The servers' own progress is in their logs."""
