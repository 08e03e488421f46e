"""incidents, show, approve, deny, investigate, close, pause, resume: all through the API."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from service.commands.failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.commands.api_client import ApiClient

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
COLOURS = {
    "awaiting_approval": "yellow",
    "executing": "blue",
    "verifying": "blue",
    "investigating": "blue",
    "resolved": "green",
    "closed": "green",
    "needs_human": "red",
}


def _api() -> ApiClient:
    from service.commands.api_client import ApiClient as Client  # --help does not pay for an HTTP client

    return Client()


as_json = click.option("--json", "json_", is_flag=True, help="One JSON object instead of words.")


def safe(text: object) -> str:
    """Text from outside without escape and bidirectional characters, which could rewrite a terminal."""
    return _UNSAFE.sub("\ufffd", str(text))


class Key(click.ParamType[str]):
    name = "INC-n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).upper()
        text = text if text.startswith("INC-") else f"INC-{text}"
        if not re.fullmatch(r"INC-[1-9][0-9]*", text):
            self.fail(f"{value!r} is no incident; it looks like INC-1", param, ctx)
        return text


@click.command(epilog="\b\nExamples:\n  stanch incidents\n  stanch incidents --state awaiting_approval --json")
@click.option("--state", multiple=True, help="Only these states; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@as_json
def incidents(state: tuple[str, ...], limit: int, json_: bool) -> None:
    """List incidents, newest first."""
    found = _api().get("/api/v1/incidents", state=list(state) or None, limit=limit)["incidents"]
    if json_:
        for one in found:
            click.echo(json.dumps(one))
        return
    if not found:
        click.echo("No incident.")
    for one in found:
        cause = f"{one['cause']['title']} {one['cause']['probability']:.2f}" if one["cause"] else ""
        state_text = click.style(f"{one['state'].replace('_', ' '):18}", fg=COLOURS.get(one["state"]))
        click.echo(f"{one['id']:8} {state_text} {(one['outcome'] or ''):14} {safe(one['title'])[:60]:60} {cause}")


@click.command(epilog="\b\nExamples:\n  stanch show INC-1\n  stanch show INC-1 --json")
@click.argument("key", type=Key())
@as_json
def show(key: str, json_: bool) -> None:
    """One incident: state, causes with their evidence, the proposed command, what was not visible."""
    api = _api()
    one = api.get(f"/api/v1/incidents/{key}")
    if json_:
        click.echo(json.dumps(one))
        return
    click.echo(f"{one['id']}  {safe(one['title'])}")
    outcome = f", {one['outcome'].replace('_', ' ')}" if one["outcome"] else ""
    click.echo(f"  {one['state'].replace('_', ' ')}{outcome}")
    if one["why"]:
        click.echo(f"  {safe(one['why'])}")
    click.echo("causes")
    for cause in one["causes"]:
        click.echo(f"  {cause['probability']:.2f}  {cause['title']}")
    if one["component"]:
        click.echo(f"it lies in {safe(one['component'])}")
    click.echo("evidence")
    for row in one["evidence"]:
        click.echo(f"  {row['id']:5} {row['status']:12} {safe(row['check'])}: {safe(row['summary'])}")
    if one["not_visible"]:
        click.echo(f"not visible to me: {', '.join(one['not_visible'])}")
    _show_proposal(api, one)


def _show_proposal(api: ApiClient, one: dict[str, Any]) -> None:
    fix = one["proposal"]
    if fix is None:
        return
    click.echo(f"proposed fix, revision {fix['revision']}, digest {fix['digest'][:12]}")
    click.echo(f"  {safe(fix['command'])}")
    click.echo(f"  on {fix['target']} ({fix['environment'] or 'environment not said'})")
    for lock in fix["locks"]:
        click.echo(f"  lock {lock['mode']} on {safe(lock['relation'])}")
    click.echo(f"  way back: {safe(fix['rollback'])}")
    approval = fix["approval"]
    if approval and approval["state"] in {"pending", "partially_approved"}:
        minutes, seconds = divmod(int(approval["seconds_left"]), 60)
        people = ", ".join(fix["approvers"]) or "nobody: the list is empty"
        click.echo(f"  waits for {fix['approvers_needed']} of {people}")
        click.echo(f"  {minutes}:{seconds:02d} left: stanch approve {one['id']}   or   {api.url}/i/{one['id']}")
    elif approval:
        click.echo(f"  {approval['state']}")


def _decide(key: str, decision: str, reason: str, *, yes: bool, json_: bool) -> None:
    api = _api()
    fix = api.get(f"/api/v1/incidents/{key}")["proposal"]
    if fix is None or fix["approval"] is None:
        raise CommandFailed(f"{key} has nothing that waits for a decision")
    if decision == "approve" and not yes and sys.stdin.isatty():
        click.echo(f"{safe(fix['command'])}\non {fix['target']}, digest {fix['digest'][:12]}")
        if not click.confirm("Run this?", default=False):
            raise CommandFailed("nothing was decided")
    answer = api.post(
        f"/api/v1/approvals/{fix['approval']['id']}/decision",
        {"decision": decision, "revision": fix["revision"], "digest": fix["digest"], "reason": reason},
    )
    if json_:
        click.echo(json.dumps(answer))
        return
    people = ", ".join(answer["approved_by"])
    click.echo(f"{key} {answer['state'].replace('_', ' ')}" + (f" by {people}" if people else ""))


@click.command(epilog="\b\nExample:\n  stanch approve INC-1")
@click.argument("key", type=Key())
@click.option("--reason", default="", help="Kept with the decision.")
@click.option("--yes", is_flag=True, help="Do not ask again on a terminal.")
@as_json
def approve(key: str, reason: str, yes: bool, json_: bool) -> None:
    """Approve the revision that is proposed now. What runs is the command you are shown, byte for byte."""
    _decide(key, "approve", reason, yes=yes, json_=json_)


@click.command(epilog='\b\nExample:\n  stanch deny INC-1 --reason "we fail over instead"')
@click.argument("key", type=Key())
@click.option("--reason", required=True, help="Why; it goes into the postmortem.")
@as_json
def deny(key: str, reason: str, json_: bool) -> None:
    """Deny the proposed fix. Nothing runs."""
    _decide(key, "deny", reason, yes=True, json_=json_)


def _changed(params: dict[str, Any], changes: tuple[str, ...]) -> dict[str, Any]:
    """The proposal's parameters with the changes. A list is given with commas, true and false as words."""
    changed = dict(params)
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in params:
            raise CommandFailed(f"--set takes one of {', '.join(sorted(params))} as NAME=VALUE, not {safe(change)}")
        changed[name] = _value_like(params[name], name, text)
    return changed


def _value_like(old: Any, name: str, text: str) -> Any:
    match old:
        case list():
            return [part for part in text.split(",") if part]
        case bool() if text in {"true", "false"}:
            return text == "true"
        case int() if not isinstance(old, bool) and re.fullmatch(r"-?[0-9]{1,18}", text):
            return int(text)
        case str():
            return text
    raise CommandFailed(f"{name} is a {type(old).__name__}, which {safe(text)} is not")


@click.command(
    epilog='\b\nExample:\n  stanch edit INC-1 --set columns=customer_id,placed_at --reason "covers the sort"'
)
@click.argument("key", type=Key())
@click.option("--set", "changes", multiple=True, required=True, metavar="NAME=VALUE", help="A parameter and its value.")
@click.option("--reason", default="", help="Kept with the edit.")
@as_json
def edit(key: str, changes: tuple[str, ...], reason: str, json_: bool) -> None:
    """Change a proposed fix. What waited is void; the guardrail judges the edit, and somebody else approves it."""
    api = _api()
    fix = api.get(f"/api/v1/incidents/{key}")["proposal"]
    if fix is None or fix["approval"] is None:
        raise CommandFailed(f"{key} has nothing that waits for a decision")
    answer = api.post(
        f"/api/v1/approvals/{fix['approval']['id']}/revision",
        {"revision": fix["revision"], "digest": fix["digest"], "params": _changed(fix["params"], changes),
         "reason": reason},
    )  # fmt: skip
    click.echo(json.dumps(answer) if json_ else f"{key} revision {fix['revision']} is void; the edit is being judged")


@click.command(epilog="\b\nExample:\n  stanch investigate INC-1")
@click.argument("key", type=Key())
def investigate(key: str) -> None:
    """Ask for another look at an incident that waits for a human."""
    answer = _api().post(f"/api/v1/incidents/{key}/investigate")
    click.echo(f"{answer['id']} {answer['state'].replace('_', ' ')}")


@click.command(epilog='\b\nExample:\n  stanch close INC-1 --reason "restored by hand"')
@click.argument("key", type=Key())
@click.option("--reason", required=True)
def close(key: str, reason: str) -> None:
    """Close an incident that waits for a human."""
    answer = _api().post(f"/api/v1/incidents/{key}/close", {"reason": reason})
    click.echo(f"{answer['id']} {answer['state'].replace('_', ' ')}")


def _control(call: Callable[[ApiClient], dict[str, Any]]) -> None:
    answer = call(_api())
    click.echo(f"paused: {answer['reason']}" if answer["paused"] else "executions may start again")


@click.command(epilog='\b\nExample:\n  stanch pause --reason "failover in progress"')
@click.option("--reason", required=True)
def pause(reason: str) -> None:
    """The kill switch: no execution starts until somebody resumes. What already runs goes on."""
    _control(lambda api: api.post("/api/v1/pause", {"reason": reason}))


@click.command(epilog="\b\nExample:\n  stanch resume")
def resume() -> None:
    """Let executions start again."""
    _control(lambda api: api.post("/api/v1/resume"))
