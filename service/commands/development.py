"""dev and demo: everything on this machine, on embedded servers."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.api_client import LOCAL
from service.commands.failures import CommandFailed
from service.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.faults import Fault
    from lab.production import Production
    from lab.story import Story

CACHE = Path(__file__).resolve().parent.parent.parent / ".cache"


@click.command(
    epilog="\b\nExamples:\n  stanch demo                     you approve\n"
    "  AUTO=1 stanch demo              it plays you\n  stanch demo --fault missing-index"
)
@click.option("--fault", default="missing-index", envvar="FAULT", show_default=True)
@click.option("--auto", is_flag=True, envvar="AUTO", help="Play the approver. So it is without a terminal.")
@click.option("--rows", type=click.IntRange(1_000), default=None, help="Orders in the shop; 2.4 million by default.")
def demo(fault: str, auto: bool, rows: int | None) -> None:
    """A shop's PostgreSQL loses an index under load: the whole story, on real servers, as it happens.

    Exit 0 only after a verified recovery. Ctrl-C stops everything.
    """
    from lab.demo import set_up
    from lab.faults import named
    from lab.production import Production, Scale, free_place
    from lab.stack import usual_port
    from lab.story import Story

    try:
        chosen = named(fault)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    story = Story()
    stay = sys.stdin.isatty() and story.live and not auto
    data_dir = load().data_dir
    scale = Scale() if rows is None else Scale(rows=rows)
    stop_on_signals()
    began = time.monotonic()
    try:
        place, port = free_place(data_dir / "demo"), usual_port()
        with Production(place, cache=CACHE, scale=scale, progress=_quiet, port=port) as production:
            set_up(production, story, began)
            production.stack.save_cli_access(data_dir)
            outcome = _tell(production, story, chosen, person=stay)
            if stay:
                _stay(production, story)
        story.plain("stopped; nothing is left running")
    except KeyboardInterrupt:
        story.plain("stopped; nothing is left running")
        sys.exit(130)
    finally:
        (data_dir / LOCAL).unlink(missing_ok=True)
    sys.exit(0 if outcome == "recovered" else 1)


def _quiet(_line: str) -> None:
    """The story tells less than the servers say; their logs have it all."""


def stop_on_signals() -> None:
    """SIGTERM ends as Ctrl-C does: everything that was started is stopped.

    SIGINT too, for a shell that starts us in the background has it ignored.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _tell(production: Production, story: Story, fault: Fault, *, person: bool) -> str | None:
    from lab.demo import Teller, approve_at_once, normal_load, summary

    normal_load(production, story)
    run = Teller(production, story, None if person else approve_at_once(production, story)).run(fault)
    story.plain()
    story.under(summary(run), "bold")
    return run.outcome


def _stay(production: Production, story: Story) -> None:
    story.under(f"The dashboard stays up: {production.stack.login_url}")
    story.under("Ctrl-C stops everything. `make demo AUTO=1` plays the approver.")
    # The story is over: stopping is how it ends, not how it breaks off.
    with suppress(KeyboardInterrupt):
        _until_interrupted(lambda: production.stack.mend(lambda text: story.line("servers", text)))


def _until_interrupted(check: Callable[[], None]) -> None:
    while True:
        check()
        time.sleep(0.5)


@click.command(
    epilog="\b\nExample:\n  STANCH_CONFIG=stanch.yaml STANCH_PROMETHEUS_URL=http://prometheus:9090 stanch dev"
)
def dev() -> None:
    """serve, workers and executor on an embedded store and broker, in one terminal, until Ctrl-C."""
    from connectors.embedded.process import ProcessGroup
    from lab.stack import Stack, usual_port
    from service.configuration import read

    settings = load()
    read(settings.config)
    place = settings.data_dir / "dev"
    stop_on_signals()
    try:
        with ProcessGroup(place / "run", click.echo) as group:
            stack = Stack(group, place, progress=click.echo, port=usual_port())
            stack.start_store()
            stack.broker.start()
            document = settings.config.read_text(encoding="utf-8") if settings.config else ""
            stack.configure(_mapping(document), prometheus_url=settings.prometheus_url)
            stack.start_processes()
            stack.wait_until_ready()
            stack.save_cli_access(settings.data_dir)
            click.echo(f"dashboard    {stack.login_url}")
            click.echo(f"webhook      {stack.hook_url}   Authorization: Bearer {stack.secrets.alertmanager}")
            _until_interrupted(lambda: stack.mend(click.echo))
    except KeyboardInterrupt:
        click.echo("stopped; nothing is left running")
        sys.exit(130)
    finally:
        (settings.data_dir / LOCAL).unlink(missing_ok=True)


def _mapping(document: str) -> dict[str, object]:
    import yaml

    return yaml.safe_load(document) or {}
