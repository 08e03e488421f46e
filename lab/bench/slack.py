"""`stanch bench slack`: from a click to a durable decision, and how long Slack waits for its acknowledgement.

A real `stanch serve` on a store of its own that commits to the disk; a local server plays Slack. A decision counts as
durable when the store tells another connection of it, which it does after the commit.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import httpx
import psycopg
from psycopg.types.json import Jsonb

from connectors.embedded.process import ProcessGroup
from connectors.embedded.prometheus import answers_ok
from connectors.named_sql import load
from guardrails.action import CreateIndexConcurrently, action_to_params, render
from guardrails.permit import digest, proposal_document
from lab.production import free_place
from lab.slack import workspace as slack
from lab.slack.workspace import Posted, Workspace, form, signed
from lab.stack import PERSON, ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

QUERIES = load("lab.bench", "slack.sql")
ADA = "U0ADA"
ACTION = CreateIndexConcurrently("public", "orders", ("customer_id",))
HELD_S = 2.0
WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Seeded:
    """An approval that waits, and its message as Slack would have it."""

    incident: int
    approval: str
    digest: str
    message: Posted


@dataclass
class Heard:
    """When the store told of a decision on an incident, by this process's clock."""

    at: dict[int, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def listen(self, dsn: str) -> None:
        ready = threading.Event()

        def run() -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("LISTEN stanch_incident")
                ready.set()
                while not self._stop.is_set():
                    for notice in connection.notifies(timeout=0.2):
                        if notice.payload:
                            self.at.setdefault(int(notice.payload), time.perf_counter())

        threading.Thread(target=run, daemon=True).start()
        ready.wait(10)

    def wait(self, incident: int) -> float:
        end = time.perf_counter() + WITHIN_S
        while incident not in self.at:
            if time.perf_counter() > end:
                raise click.ClickException(f"INC-{incident} was not decided within {WITHIN_S:.0f} s")
            time.sleep(0.0005)
        return self.at[incident]

    def stop(self) -> None:
        self._stop.set()


class Bench:
    """The processes of one run, and what is asked of them."""

    def __init__(self, group: ProcessGroup, place: Path, workspace: Workspace) -> None:
        self._group = group
        self.stack = Stack(group, place, progress=lambda _: None)
        self.workspace = workspace
        self.heard = Heard()
        self._client = httpx.Client(timeout=10.0, trust_env=False)

    def start(self) -> None:
        """Raises ServerFailed."""
        self.stack.start_store()
        self.stack.broker.start()
        people = {"team": slack.TEAM, "people": {ADA: PERSON}}
        self.stack.configure(
            {"targets": {"shop": {"mode": "act", "environment": "bench"}}, "approvers": [PERSON], "slack": people,
             "policy": {"decide_within_s": 3600}},
            prometheus_url=None,
        )  # fmt: skip
        self.stack.settings["serve"] = self.workspace.settings()
        environment = self.stack.environment("serve")
        self._group.start(
            "serve", [sys.executable, "-m", "service.cli", "serve"], log_path=self.stack.logs / "serve.log",
            ready=lambda: answers_ok(f"{self.stack.url}/readyz"), env=environment, cwd=ROOT, port=self.stack.port,
            timeout_s=120.0,
        )  # fmt: skip
        self.heard.listen(self.stack.store.dsn())

    def close(self) -> None:
        self.heard.stop()
        self._client.close()

    # --- Seeds -------------------------------------------------------------------------------------------------

    def seed(self, count: int, *, posted: bool) -> list[Seeded]:
        """Approvals that wait. posted False: the service has to post their messages itself."""
        with psycopg.connect(self.stack.store.dsn(), autocommit=True) as connection:
            return [self._one(connection, posted=posted) for _ in range(count)]

    def _one(self, connection: psycopg.Connection, *, posted: bool) -> Seeded:
        def ask(name: str, **values: Any) -> Any:
            cursor = connection.execute(QUERIES[name].encode(), values)
            return cursor.fetchone() if cursor.description else None

        with connection.transaction():
            (number,) = ask("incident", key=f"bench:{uuid.uuid4()}")
            ask("investigating", id=number)
            proposal, until = str(uuid.uuid4()), datetime.now(UTC) + timedelta(hours=1)
            rendered = render(ACTION, proposal)
            document = proposal_document(
                incident=f"INC-{number}", proposal=proposal, revision=1, target_kind="postgresql",
                target_identity={"name": "shop", "system_identifier": "1", "database": "shop"}, action=ACTION,
                rendered=rendered, decide_by=until, start_by=until, approvers_needed=1,
                verification={"expr": None, "window_s": 30, "deadline_s": 60, "step_s": 1,
                              "rollback_on_regression": True},
            )  # fmt: skip
            ask("proposal", id=proposal, incident=number, action=ACTION.kind, params=Jsonb(action_to_params(ACTION)),
                command=rendered.command, cleanup=rendered.cleanup, rollback=rendered.rollback,
                document=Jsonb(document), digest=digest(document), decide_by=until, start_by=until)  # fmt: skip
            (approval,) = ask("approval", proposal=proposal)
            ask("awaiting", id=number)
            message = Posted(slack.CHANNEL, f"1600000000.{number:06d}", "", [])
            if posted:
                ask("posted", incident=number, approval=approval, nonce="bench-nonce", digest=digest(document),
                    channel=slack.CHANNEL, ts=message.ts)  # fmt: skip
                ask("left_alone", incident=number)
            ask("audit", incident=number)
        self.heard.at.pop(number, None)
        return Seeded(number, approval, digest(document), message)

    def all_decided(self, seeds: Sequence[Seeded]) -> None:
        """A refusal is told by the store too, and is no decision."""
        with psycopg.connect(self.stack.store.dsn(), autocommit=True) as connection:
            cursor = connection.execute(QUERIES["decided"].encode(), {"ids": [one.approval for one in seeds]})
            row = cursor.fetchone()
        if row is None or row[0] != len(seeds):
            raise click.ClickException(f"{len(seeds)} clicks, and {row[0] if row else 0} decisions")

    # --- Clicks ------------------------------------------------------------------------------------------------

    def press(self, one: Seeded) -> tuple[float, float]:
        """When the click went out, and when it was acknowledged."""
        value = json.dumps({"a": one.approval, "r": 1, "h": one.digest[:12], "n": "bench-nonce"})
        return self.send(self.workspace.press(one.message, "rem_approve", ADA, value=value))

    def send(self, payload: dict[str, Any]) -> tuple[float, float]:
        body = form(payload)
        headers = signed(body)
        begin = time.perf_counter()
        answer = self._client.post(f"{self.stack.url}/slack/interactivity", content=body, headers=headers)
        done = time.perf_counter()
        if answer.status_code != httpx.codes.OK:
            raise click.ClickException(f"a click was answered {answer.status_code}")
        return begin, done


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": round(1000 * statistics.median(ordered), 1), "p95": at(0.95), "p99": at(0.99),
            "max": round(1000 * ordered[-1], 1)}  # fmt: skip


def quiet(bench: Bench, count: int) -> dict[str, Any]:
    """One click after another, each until it is durable."""
    acks, durable = [], []
    seeds = bench.seed(count + 3, posted=True)
    time.sleep(1.0)
    for one in seeds:
        bench.heard.at.pop(one.incident, None)
    for one in seeds:
        begin, acknowledged = bench.press(one)
        durable.append(bench.heard.wait(one.incident) - begin)
        acks.append(acknowledged - begin)
    bench.all_decided(seeds)
    # The first ones open the connections.
    return {"clicks": count, "acknowledged_ms": milliseconds(acks[3:]), "durable_ms": milliseconds(durable[3:])}


def slow(bench: Bench, count: int) -> dict[str, Any]:
    """Each click while another session holds the tables it needs for two seconds."""
    acks, durable = [], []
    seeds = bench.seed(count, posted=True)
    time.sleep(1.0)
    for one in seeds:
        bench.heard.at.pop(one.incident, None)
        with psycopg.connect(bench.stack.store.dsn()) as connection:
            connection.execute(QUERIES["hold"].encode())
            begin, acknowledged = bench.press(one)
            time.sleep(max(0.0, HELD_S - (time.perf_counter() - begin)))
            connection.rollback()
        durable.append(bench.heard.wait(one.incident) - begin)
        acks.append(acknowledged - begin)
    bench.all_decided(seeds)
    return {"clicks": count, "held_s": HELD_S, "acknowledged_ms": milliseconds(acks),
            "durable_ms": milliseconds(durable)}  # fmt: skip


def shown(bench: Bench, count: int) -> dict[str, Any]:
    """Messages posted by the service at Slack's pace; how long after a click its buttons are gone."""
    gone = []
    seeds = bench.seed(count, posted=False)
    for one in seeds:
        message = _until(bench.workspace, one)
        time.sleep(1.5)
        begin, _ = bench.send(bench.workspace.press(message, "rem_approve", ADA))
        while message.button("rem_approve") is not None:
            if time.perf_counter() - begin > WITHIN_S:
                raise click.ClickException("the buttons stay")
            time.sleep(0.001)
        gone.append(time.perf_counter() - begin)
    refused = sum(1 for call in bench.workspace.calls if call[2] == 429)  # noqa: PLR2004 Too Many Requests
    return {"clicks": count, "buttons_gone_ms": milliseconds(gone), "rate_limited": refused}


def _until(workspace: Workspace, one: Seeded) -> Posted:
    end = time.perf_counter() + WITHIN_S
    while time.perf_counter() < end:
        for message in workspace.shown():
            button = message.button("rem_approve")
            if button is not None and one.approval in button["value"]:
                return message
        time.sleep(0.01)
    raise click.ClickException(f"INC-{one.incident} was not posted")


def measured(bench: Bench, clicks: int) -> Iterator[dict[str, Any]]:
    held, posted = max(3, clicks // 20), max(3, clicks // 40)
    _say(f"{clicks} clicks, one after another")
    yield {"what": "quiet", **quiet(bench, clicks)}
    _say(f"{held} clicks, each with the store held for {HELD_S:g} s")
    yield {"what": "store held", **slow(bench, held)}
    _say(f"{posted} messages posted at Slack's pace, each clicked")
    yield {"what": "messages", **shown(bench, posted)}


def _say(what: str) -> None:
    """Progress, for whoever waits."""
    click.echo(what, err=True)


@click.command("slack", epilog="\b\nExample:\n  stanch bench slack --clicks 200 --json")
@click.option("--clicks", type=click.IntRange(10, 5000), default=200, show_default=True)
@click.option("--json", "json_", is_flag=True, help="A JSON object a part.")
def bench_slack(clicks: int, json_: bool) -> None:
    """Clicks in Slack: acknowledged, durable, shown. Prints milliseconds; asserts nothing."""
    workspace = Workspace()
    workspace.start()
    workspace.add(ADA)
    place = free_place(ROOT / "var" / "bench")
    with ProcessGroup(place / "run", lambda _: None) as group:
        bench = Bench(group, place, workspace)
        try:
            _say("starting a store, a broker, serve and a local Slack")
            bench.start()
            for row in measured(bench, clicks):
                row["load_1min"] = round(os.getloadavg()[0], 2)
                click.echo(json.dumps(row) if json_ else _line(row))
        finally:
            bench.close()
            workspace.stop()


def _line(row: dict[str, Any]) -> str:
    parts = [f"{name.removesuffix('_ms').replace('_', ' ')}: p50 {one['p50']}, p99 {one['p99']}, max {one['max']} ms"
             for name, one in row.items() if isinstance(one, dict)]  # fmt: skip
    return f"{row['what']} ({row['clicks']} clicks, load {row['load_1min']}): {'; '.join(parts)}"
