"""lab record, replay, report: incidents of the lab on disk, what the agent would do with them, a page of figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.development import CACHE, stop_on_signals
from service.commands.failures import CommandFailed
from service.settings import load

if TYPE_CHECKING:
    from lab.production import Production
    from lab.recordings.listener import Listener

INTERRUPTED = 130


@click.command(
    epilog="\b\nExamples:\n  stanch lab record --resume\n  stanch lab record --faults missing-index,blip --out mine"
)
@click.option("--faults", default="", help="Names, separated by commas; all of `stanch lab list` by default.")
@click.option("--count", type=click.IntRange(1), default=None, help="How many there shall be in all.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Where to; Stanch's own set."
)
@click.option("--resume", is_flag=True, help="Go on with what the folder holds already.")
def record(faults: str, count: int | None, out: Path | None, resume: bool) -> None:
    """Break a lab again and again and write down all that could be asked, about a minute each.

    The lab is started for it, without Stanch. Ctrl-C ends it; --resume goes on. Exit 1 when nothing was recorded.
    """
    from lab.recordings import library
    from lab.recordings.record import chosen, plan, record_all

    folder = out or library.DATA
    try:
        wanted = chosen([name.strip() for name in faults.split(",") if name.strip()])
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    manifest = library.read_manifest(folder)
    if manifest.recordings and not resume:
        raise CommandFailed(f"{folder} holds {len(manifest.recordings)} recordings; go on with --resume, or --out DIR")
    attempts = plan(wanted, manifest, count)
    click.echo(f"{len(manifest.recordings)} recordings are there, {len(attempts)} to make", err=True)
    stop_on_signals()
    try:
        made = record_all(attempts, folder, _started, _say)
    except KeyboardInterrupt:
        click.echo("stopped; --resume goes on", err=True)
        sys.exit(INTERRUPTED)
    click.echo(f"{made} of {len(attempts)} recorded in {folder}")
    sys.exit(0 if made or not attempts else 1)


def _started(listener: Listener) -> Production:
    from lab.production import Production, Scale, free_place

    place = free_place(load().data_dir / "lab-record")
    production = Production(place, cache=CACHE, scale=Scale(), progress=_ignore, port=listener.port, with_stanch=False)
    try:
        production.seed(lambda phase, share: _say(f"shop's data: {phase} ({share:.0%})"))
        production.start_servers()
        production.start_shop()
    except BaseException:
        production.stop()
        raise
    _say("the lab is up")
    return production


def _say(line: str) -> None:
    from datetime import UTC, datetime

    click.echo(f"{datetime.now(UTC):%H:%M:%S} {line}", err=True)


def _ignore(_line: str) -> None:
    """The servers' own progress is in their logs."""
