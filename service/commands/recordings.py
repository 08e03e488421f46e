"""lab record, replay, report: incidents of the lab on disk, what the agent would do with them, a page of figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands.development import CACHE, stop_on_signals
from service.commands.failures import CommandFailed
from service.settings import load

if TYPE_CHECKING:
    from lab.production import Production
    from lab.recordings.listener import Listener
    from lab.recordings.recording import Recording

INTERRUPTED = 130


@click.command(
    epilog="\b\nExamples:\n  stanch lab record --resume\n  stanch lab record --faults missing-index,blip --out mine\n"
    "  stanch lab record --anew"
)
@click.option("--faults", default="", help="Names, separated by commas; all of `stanch lab list` by default.")
@click.option("--count", type=click.IntRange(1), default=None, help="How many there shall be in all.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Where to; Stanch's own set."
)
@click.option("--resume", is_flag=True, help="Go on with what the folder holds already.")
@click.option("--anew", is_flag=True, help="Break nothing: work the recorded answers out again by today's checks.")
def record(faults: str, count: int | None, out: Path | None, resume: bool, anew: bool) -> None:
    """Break a lab again and again and write down all that could be asked, about a minute each.

    The lab is started for it, without Stanch. Ctrl-C ends it; --resume goes on. Exit 1 when nothing was recorded.
    """
    from lab.recordings import library
    from lab.recordings.record import chosen, plan, record_all

    folder = out or library.DATA
    if anew:
        if faults or count is not None or resume:
            raise CommandFailed("--anew takes every recording of the folder: leave out --faults, --count and --resume")
        _work_out_anew(folder)
        return
    try:
        wanted = chosen([name.strip() for name in faults.split(",") if name.strip()])
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    manifest = library.read_manifest(folder)
    if manifest.recordings and not resume:
        raise CommandFailed(f"{folder} holds {len(manifest.recordings)} recordings; go on with --resume, or --out DIR")
    attempts = plan(wanted, manifest, count, anyway=bool(faults))
    click.echo(f"{len(manifest.recordings)} recordings are there, {len(attempts)} to make", err=True)
    stop_on_signals()
    try:
        made = record_all(attempts, folder, _started, _say)
    except KeyboardInterrupt:
        click.echo("stopped; --resume goes on", err=True)
        sys.exit(INTERRUPTED)
    click.echo(f"{made} of {len(attempts)} recorded in {folder}")
    sys.exit(0 if made or not attempts else 1)


def _work_out_anew(folder: Path) -> None:
    """From what the target and Prometheus said then. Times, truth and load stay as they were measured."""
    from dataclasses import replace

    from lab.recordings import library
    from lab.recordings.full import recomputed
    from lab.recordings.recording import UnusableRecording

    try:
        found = library.read(folder)
    except UnusableRecording as error:
        raise CommandFailed(str(error)) from error
    changed = 0
    for recording in found:
        again = replace(recording, answers=recomputed(recording).answers)
        if again.answers != recording.answers:
            changed += 1
            library.add(folder, again)
            click.echo(f"{recording.id}: {_differing(recording, again)}", err=True)
    click.echo(f"{changed} of {len(found)} recordings have other answers now")


def _differing(before: Recording, after: Recording) -> str:
    return ", ".join(name for name, said in after.answers.items() if said != before.answers[name])


@click.command(
    epilog="\b\nExamples:\n  stanch lab replay missing-index-001\n  stanch lab replay my/blip-002.json.gz --json\n"
    "  stanch lab replay --all"
)
@click.argument("file", required=False)
@click.option("--all", "all_", is_flag=True, help="Every recording of the set, a line each.")
@click.option("--recordings", type=click.Path(file_okay=False, path_type=Path), help="A folder; else Stanch's set.")
@click.option("--skills", "folder", type=click.Path(exists=True, path_type=Path), help="Stanch's by default.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a recording.")
def replay(file: str | None, all_: bool, recordings: Path | None, folder: Path | None, json_: bool) -> None:
    """What the agent would do with a recorded incident, check by check. FILE is a path or a name of the set.

    Exit 1 when it ends otherwise than the truth asks for.
    """
    import json

    from agent.replay.play import play
    from connectors.runbooks import skills
    from lab.recordings.told import as_data, as_line, as_text

    if (file is None) == (not all_):
        raise CommandFailed("name one recording, or --all")
    known = skills() if folder is None else skills(folder)
    ends_right = True
    for recording in _chosen(file, recordings):
        played = play(recording.case(), known)
        if json_:
            click.echo(json.dumps(as_data(recording, played), allow_nan=False))
        else:
            click.echo(as_line(recording, played) if all_ else as_text(recording, played))
        ends_right = ends_right and played.mitigated and not played.wrong_fix
    sys.exit(0 if ends_right else 1)


def _chosen(file: str | None, folder: Path | None) -> tuple[Recording, ...]:
    """Raises CommandFailed."""
    from lab.recordings import library
    from lab.recordings.recording import SUFFIX, UnusableRecording, read_file

    try:
        if file is None:
            return library.read(folder)
        path = Path(file)
        if not path.exists():
            path = (folder or library.DATA) / f"{file.removesuffix(SUFFIX)}{SUFFIX}"
        return (read_file(path),)
    except UnusableRecording as error:
        raise CommandFailed(str(error)) from error


@click.command(epilog="\b\nExamples:\n  stanch lab report\n  stanch lab report --out incidents.html")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("lab-report.html"), show_default=True
)
@click.option("--recordings", type=click.Path(file_okay=False, path_type=Path), help="A folder; else Stanch's set.")
@click.option("--cases", type=click.IntRange(1), default=200, show_default=True, help="Generated incidents a split.")
@click.option("--ledger", type=click.Path(exists=True, path_type=Path), help="Of stanch learn; DATA_DIR/learning's.")
def report(out: Path, recordings: Path | None, cases: int, ledger: Path | None) -> None:
    """One page with charts: what was recorded, what the agent makes of it, beside baselines, and how it learnt."""
    from connectors.runbooks import skills
    from lab.bench.incidents import measured
    from lab.recordings.report import page

    found, known = _chosen(None, recordings), skills()
    rows = list(measured(found, known, cases=cases, seed=0, full=False))
    out.write_text(page(found, rows, known, _learnt(ledger)), encoding="utf-8")
    click.echo(f"{out}: {out.stat().st_size / 1000:.0f} kB")


def _learnt(ledger: Path | None) -> tuple[dict[str, Any], ...]:
    """Rows of a learning run; none where there was none. Raises CommandFailed."""
    from agent.learning.ledger import BrokenLedger, read

    path = ledger or load().data_dir / "learning" / "ledger.jsonl"
    if not path.exists():
        return ()
    try:
        return read(path.read_bytes())
    except (BrokenLedger, OSError) as error:
        raise CommandFailed(f"{path}: {error}") from error


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
