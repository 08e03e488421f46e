"""dev and demo: everything on this machine, on embedded servers."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.api_client import LOCAL
from service.commands.failures import CommandFailed
from service.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.embedded.server import EmbeddedServer
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
            _set_up(production, story, data_dir, began)
            outcome = _tell(production, story, chosen, person=stay)
            if stay:
                _stay(production, story)
    except KeyboardInterrupt:
        story.plain("stopped; nothing is left running")
        sys.exit(130)
    finally:
        (data_dir / LOCAL).unlink(missing_ok=True)
    sys.exit(0 if outcome == "recovered" else 1)


def _quiet(_line: str) -> None:
    """The story tells less than the servers say; their logs have it all."""


def stop_on_signals() -> None:
    """SIGTERM ends as Ctrl-C does: everything that was started is stopped."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def _set_up(production: Production, story: Story, data_dir: Path, began: float) -> None:
    phases: set[str] = set()

    def seeded(phase: str, share: float) -> None:
        if phase not in phases:
            phases.add(phase)
            story.chapter("shop's data", f"{phase} ({share:.0%})")

    start = time.monotonic()
    if production.seed(seeded):
        story.chapter("shop's data", f"made and cached, {time.monotonic() - start:.0f} s, once")
    start = time.monotonic()
    production.start_servers()
    production.start_shop()
    parts: list[EmbeddedServer] = [
        production.stack.store, production.stack.broker, production.prometheus, production.alertmanager
    ]  # fmt: skip
    named = " · ".join(f"{one.product} {one.version} ({one.origin})" for one in parts)
    story.chapter("servers", f"{named}   {time.monotonic() - start:.0f} s")
    story.chapter("shop", f"storefront → orders → orders-db, {production.scale.rows / 1e6:.1f} M orders, "
                  f"{production.shop.rates.reads + production.shop.rates.writes:.0f} requests/s")  # fmt: skip
    production.stack.save_cli_access(data_dir)
    story.chapter("dashboard", f"{production.stack.login_url}   up after {time.monotonic() - began:.0f} s")
    story.plain()


def _tell(production: Production, story: Story, fault: Fault, *, person: bool) -> str | None:
    from lab.demo import NORMAL_LOAD_S, Teller, approve_at_once, summary

    def note() -> str:
        p99 = production.p99_seconds()
        return "" if p99 is None else f"p99 {p99:.2f} s"

    def mend() -> None:
        production.stack.mend(lambda text: story.line("servers", text))

    story.wait("normal load", NORMAL_LOAD_S, note, mend)
    story.plain()
    run = Teller(production, story, None if person else approve_at_once(production, story)).run(fault)
    story.plain()
    story.under(summary(run), "bold")
    return run.outcome


def _stay(production: Production, story: Story) -> None:
    story.under(f"The dashboard stays up: {production.stack.login_url}")
    story.under("Ctrl-C stops everything. `make demo AUTO=1` plays the approver.")
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
