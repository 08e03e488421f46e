"""lab list, lab run: the simulated production, one fault at a time."""

from __future__ import annotations

import json
import sys

import click

from service.commands.development import CACHE, stop_on_signals
from service.commands.failures import CommandFailed
from service.settings import load


@click.group(epilog="\b\nExamples:\n  stanch lab list\n  stanch lab run missing-index --json")
def lab() -> None:
    """A shop on real servers that can be broken on purpose. It never touches a configured target or store."""


@lab.command("list", epilog="\b\nExample:\n  stanch lab list --json")
@click.option("--json", "json_", is_flag=True)
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
        }
        click.echo(json.dumps(row) if json_ else f"{fault.name:20} {fault.component:12} {fault.mechanism}")


@lab.command(epilog="\b\nExample:\n  stanch lab run missing-index --json")
@click.argument("fault")
@click.option("--json", "json_", is_flag=True, help="One JSON object: truth, diagnosis, outcome, seconds.")
def run(fault: str, json_: bool) -> None:
    """Break the shop, let Stanch work with an instant approval, print what came of it. Exit 0 when it recovered."""
    from rich.console import Console

    from lab.demo import NORMAL_LOAD_S, Teller, approve_at_once
    from lab.faults import named
    from lab.production import Production, Scale, free_place
    from lab.story import Story

    try:
        chosen = named(fault)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    stop_on_signals()
    story = Story(Console(stderr=True, highlight=False, soft_wrap=True))
    with Production(free_place(load().data_dir / "lab"), cache=CACHE, scale=Scale(), progress=_ignore) as production:
        production.seed(lambda phase, share: story.chapter("shop's data", f"{phase} ({share:.0%})"))
        production.start_servers()
        production.start_shop()
        story.wait("normal load", NORMAL_LOAD_S, lambda: "", production.group.check)
        told = Teller(production, story, approve_at_once(production, story)).run(chosen)
    cause = told.incident["cause"]
    row = {
        "fault": chosen.name,
        "truth": {"component": chosen.component, "mechanism": chosen.mechanism, "action": chosen.expected_action},
        "cause": cause,
        "action": told.incident["proposal"]["action"] if told.incident["proposal"] else None,
        "outcome": told.outcome,
        "seconds": told.seconds(),
    }
    click.echo(json.dumps(row) if json_ else f"{row['outcome']}: {cause['title'] if cause else 'no cause'}")
    sys.exit(0 if told.outcome == "recovered" else 1)


def _ignore(_line: str) -> None:
    """The servers' own progress is in their logs."""
