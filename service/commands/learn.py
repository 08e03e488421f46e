"""learn: lets the skills get better by keep or revert, and shows, checks and takes back what was kept."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands.failures import CommandFailed
from service.settings import load

if TYPE_CHECKING:
    from lab.learn.journal import Journal

EPILOG = """\b
Examples:
  stanch learn --rounds 20 --seed 1 --json
  stanch learn --rounds 120 --seed 1 --out /tmp/run    (goes on where a killed run ended)
  stanch learn history
  stanch learn review
  stanch learn revert 3f2a91c0"""

OUT = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="The run's folder; DATA_DIR/learning."
)


@click.group(invoke_without_command=True, epilog=EPILOG)
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Rounds in all.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True)
@click.option(
    "--profile",
    type=click.Choice(["explore", "strict"]),
    default="explore",
    show_default=True,
    help="explore: each keep at 5 %, the whole confirmed every ten rounds. strict: each keep under e-LOND.",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Recorded incidents; the ones that come with Stanch without it.",
)
@click.option(
    "--skills",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Skills to begin with, a folder each; the ones that come with Stanch without it.",
)
@click.option("--placebo", is_flag=True, help="Random edits through the same gate: what search without learning gains.")
@click.option("--json", "json_", is_flag=True, help="A JSON line for every line of the ledger.")
@OUT
@click.pass_context
def learn(
    context: click.Context, rounds: int, seed: int, profile: str, recordings: Path | None, skills: Path | None,
    placebo: bool, json_: bool, out: Path | None,
) -> None:  # fmt: skip
    """Learn from replayed incidents: one typed edit a round, kept only when fresh incidents show that it helps."""
    context.obj = out
    if context.invoked_subcommand is not None:
        return
    from lab.evaluator.crew import processors
    from lab.learn.run import rows_of

    journal = _journal(out)
    how, strictly = "random" if placebo else "rules", profile == "strict"
    told = rows_of(journal.folder, rounds=rounds, seed=seed, recordings=recordings, skills=skills, how=how,
                   profile="strict" if strictly else "explore", processes=processors())  # fmt: skip
    for row in told:
        _say(row, rounds)
        if json_:
            click.echo(json.dumps(row, sort_keys=True, allow_nan=False))
    if not json_:
        journal.rows()
        _status(journal)


def _say(row: dict[str, Any], rounds: int) -> None:
    edit = row.get("edit") or {}
    what = f"{edit['op']} on {edit['skill']}: " if edit else ""
    place = f"{row['round']}/{rounds} " if row["kind"] == "round" else ""
    click.echo(f"{place}{row['kind']} {row.get('status', '')} {what}{row.get('why', '')}".rstrip(), err=True)


@learn.command(epilog="\b\nExample:\n  stanch learn status --json")
@click.option("--json", "json_", is_flag=True)
@OUT
@click.pass_context
def status(context: click.Context, json_: bool, out: Path | None) -> None:
    """Where the run stands: rounds, keeps, champion, what waits for a human."""
    journal = _read(context, out)
    _status(journal, json_=json_)


def _status(journal: Journal, *, json_: bool = False) -> None:
    state = journal.state()
    told = {
        "rounds": state.rounds,
        "kept": len(state.kept),
        "champion": state.champion,
        "confirmed": state.confirmed,
        "provisional": state.champion != state.confirmed,
        "waiting_for_review": len(state.reviews),
        "strict_tests": state.strict_tests,
    }
    if json_:
        click.echo(json.dumps(told))
        return
    click.echo(f"{state.rounds} rounds, {len(state.kept)} edits kept, {len(state.reviews)} waiting for review")
    name = "the seed" if not state.kept else f"candidate {state.champion[:12]}"
    sure = "not confirmed by a strict test yet" if told["provisional"] else "confirmed"
    click.echo(f"champion: {name}, {sure if state.kept else 'nothing was kept'}")


@learn.command(epilog="\b\nExample:\n  stanch learn history --json | jq -r .status | sort | uniq -c")
@click.option("--json", "json_", is_flag=True)
@OUT
@click.pass_context
def history(context: click.Context, json_: bool, out: Path | None) -> None:
    """Every try, the reverted ones too."""
    from lab.learn.decisions import as_history

    for row in _read(context, out).rows():
        told = as_history(row)
        if json_:
            click.echo(json.dumps(told))
        else:
            what = f"{told['op']} on {told['skill']} " if told["op"] else ""
            click.echo(f"{told['round'] or '':>4} {told['status'] or told['kind']:16} {what}"
                       f"{(told['edit_id'] or '')[:12]} {told['why'] or ''}".rstrip())  # fmt: skip


@learn.command(epilog="\b\nExample:\n  stanch learn verify")
@OUT
@click.pass_context
def verify(context: click.Context, out: Path | None) -> None:
    """Check the ledger's chain from its first line, and that every candidate it names is what it was."""
    journal = _read(context, out)
    rows = journal.rows()
    for row in rows:
        for key in ("tree", "parent", "child", "after"):
            if row.get(key) and not (key == "child" and row["status"] == "invalid"):
                journal.get(row[key])
    click.echo(f"{len(rows)} lines, unbroken; head {journal.state().head[:12]}")


@learn.command(epilog="\b\nExample:\n  stanch learn review")
@click.option("--json", "json_", is_flag=True)
@OUT
@click.pass_context
def review(context: click.Context, json_: bool, out: Path | None) -> None:
    """What waits for a human, with the page that shows the exact bytes."""
    from lab.learn.decisions import waiting

    journal = _read(context, out)
    for one in waiting(journal, datetime.now(UTC)):
        page = journal.folder / "reviews" / f"{one.edit_id}.md"
        edit = one.row["edit"]
        if json_:
            click.echo(json.dumps({"edit_id": one.edit_id, "edit": edit, "page": str(page), "why_not": one.why_not}))
        else:
            click.echo(f"{one.edit_id[:12]} {edit['op']} on {edit['skill']}: {edit['hypothesis']}\n"
                       f"             {one.why_not or page}")  # fmt: skip


@learn.command(epilog="\b\nExample:\n  stanch learn approve 3f2a91c0 --person 'Ana'")
@click.argument("edit")
@click.option("--person", default=getpass.getuser, help="Who decides; the login name without it.")
@OUT
@click.pass_context
def approve(context: click.Context, edit: str, person: str, out: Path | None) -> None:
    """Let an edit that waited count. It is about the exact bytes of the review page."""
    _decide(context, out, edit, "approved", person, "")


@learn.command(epilog="\b\nExample:\n  stanch learn reject 3f2a91c0 --reason 'too wide'")
@click.argument("edit")
@click.option("--person", default=getpass.getuser, help="Who decides; the login name without it.")
@click.option("--reason", default="")
@OUT
@click.pass_context
def reject(context: click.Context, edit: str, person: str, reason: str, out: Path | None) -> None:
    """Turn an edit that waited down."""
    _decide(context, out, edit, "rejected", person, reason)


def _decide(context: click.Context, out: Path | None, edit: str, decision: str, person: str, reason: str) -> None:
    from lab.learn.decisions import decide

    with _existing(context, out).locked() as journal:
        row = decide(journal, edit, decision, person=person, reason=reason, now=datetime.now(UTC))
        click.echo(f"{decision} by {person}: {row['edit_id'][:12]}")


@learn.command(epilog="\b\nExample:\n  stanch learn revert 3f2a91c0")
@click.argument("edit")
@OUT
@click.pass_context
def revert(context: click.Context, edit: str, out: Path | None) -> None:
    """Take one kept edit back, and nothing else; refused when a later one was built on it."""
    from agent.learning.catalogue import CATALOGUE
    from lab.learn.decisions import revert as taken_back

    with _existing(context, out).locked() as journal:
        row = taken_back(journal, edit, catalogue=CATALOGUE)
        click.echo(
            f"reverted {row['edit_id'][:12]}; champion is {row['after'][:12]}, {len(row['redone'])} edits redone"
        )


@learn.command(epilog="\b\nExamples:\n  stanch learn deploy --dry-run\n  stanch learn deploy")
@click.option("--dry-run", is_flag=True, help="Say which skills would change, change nothing.")
@click.option("--replace", is_flag=True, help="Also over a text that is not the one the run began with.")
@OUT
@click.pass_context
def deploy(context: click.Context, dry_run: bool, replace: bool, out: Path | None) -> None:
    """Put the confirmed candidate into use: the versions go to the store, new incidents take them."""
    from lab.learn.deployment import changes

    with _existing(context, out).locked() as journal:
        wanted = changes(journal)
        if not wanted:
            raise CommandFailed("nothing to deploy: no kept edit is confirmed by a strict test (stanch learn status)")
        changed = () if dry_run else _deployed(journal, replace=replace)
        for one in wanted:
            what = "the retirement" if one.files is None else "the learned text"
            how = "would come into use" if dry_run else "came into use" if one.name in changed else "was in use already"
            click.echo(f"{one.name}: {what} {how}")


def _deployed(journal: Journal, *, replace: bool) -> tuple[str, ...]:
    from connectors.store.store import Store
    from lab.learn.deployment import deploy

    store = Store(load().require("store_dsn"), application_name="stanch learn")
    try:
        return deploy(journal, store, person=getpass.getuser(), replace=replace)
    finally:
        store.close()


def _journal(out: Path | None) -> Journal:
    from lab.learn.journal import Journal

    return Journal(out or load().data_dir / "learning")


def _existing(context: click.Context, out: Path | None) -> Journal:
    journal = _journal(out or context.obj)
    if not (journal.folder / "ledger.jsonl").exists():
        raise CommandFailed(f"{journal.folder} holds no run; stanch learn --rounds 20 begins one")
    return journal


def _read(context: click.Context, out: Path | None) -> Journal:
    journal = _existing(context, out)
    journal.rows()
    return journal
