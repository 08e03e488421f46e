"""`stanch bench ingest`: how many alerts are durably accepted, how fast, and that none of them is lost.

Real processes on a store of their own, which commits to the disk: `stanch serve` and a worker, and beside them, in the
same run, the barest FastAPI application that commits one row a request. Load comes from a third process.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psycopg

from connectors.embedded.process import ProcessGroup, free_port, plain_environment
from connectors.embedded.prometheus import answers_ok
from lab.bench.posts import Ask, Came
from lab.production import free_place
from lab.stack import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONNECTIONS = 48
STARTS_AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STORM_ALERTS = 10_000
GROUP_SIZE = 100
CAUSES = 20
"""Services that fail in the storm, each with alerts in several groups."""
AT_A_TIME = 1_000
"""Alerts between two looks at the processes' memory."""
SETTLES_WITHIN_S = 150.0
"""A machine that others load takes its time; what is not taken in by then is told, and in the store all the same."""
TELL_EVERY_S = 5.0
PACED_SHARE = 0.7
"""Of the capacity just measured. At full throttle a latency is the length of the client's own queue."""
OPEN_STEPS = "SELECT count(*) FROM stanch.step WHERE kind = 'intake' AND state IN ('ready', 'running')"
MOST_PINGS = 30_000
PROCESSES = ("serve", "worker-agent")


@dataclass(frozen=True, slots=True)
class Rate:
    """One application under load: accepts a second, latencies in milliseconds, and what an accept costs its process,
    which says more than a rate where other programs take the processors; NaN when it was not measured.
    """

    accepts_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    statuses: dict[str, int]

    @classmethod
    def of(cls, came: Came, cpu_s: float = float("nan")) -> Rate:
        return cls(
            round(came.accepted / came.seconds, 1),
            round(1000 * came.p50, 2),
            round(1000 * came.p99, 2),
            round(1_000_000 * cpu_s / max(came.accepted, 1), 0),
            came.statuses,
        )


class Bench:
    """The servers and processes of one run, and what is asked of them."""

    def __init__(self, group: ProcessGroup, place: Path) -> None:
        self._group = group
        self.stack = Stack(group, place, progress=lambda _: None)
        self._bare_port = free_port()
        self._pings = 0
        self._secret = "bench-secret"  # noqa: S105 of a store that is thrown away

    def start(self) -> None:
        """Raises ServerFailed."""
        self.stack.start_store()
        self.stack.broker.start()
        services = [f"service-{number}" for number in range(CAUSES)]
        self.stack.configure(
            {"sources": {"alertmanager": {}, "pagerduty": {}}, "graph": [["gateway", name] for name in services]},
            prometheus_url=None,
        )
        environment = {**self.stack.environment("serve"), "STANCH_PAGERDUTY_SECRETS": self._secret}
        self._start("serve", [sys.executable, "-m", "service.cli", "serve"], environment, self.stack.port)
        bare = [sys.executable, "-m", "lab.bench.bare", self.stack.store.dsn(), str(self._bare_port)]
        self._start("bare", bare, plain_environment(), self._bare_port)

    def _start(self, name: str, command: list[str], environment: dict[str, str], port: int) -> None:
        url = f"http://127.0.0.1:{port}/healthz"
        self._group.start(
            name, command, log_path=self.stack.logs / f"{name}.log", ready=lambda: answers_ok(url), env=environment,
            cwd=ROOT, port=port, timeout_s=120.0,
        )  # fmt: skip

    # --- Asks ----------------------------------------------------------------------------------------------------

    def bare(self, bodies: list[str], seconds: float, rate_per_s: float | None = None) -> Ask:
        url = f"http://127.0.0.1:{self._bare_port}/accept"
        return Ask(url, {}, bodies, CONNECTIONS, seconds=seconds, rate_per_s=rate_per_s)

    def bearer(self, bodies: list[str], seconds: float | None = None, *, rate_per_s: float | None = None,
               posts: int | None = None) -> Ask:  # fmt: skip
        headers = {"Authorization": f"Bearer {self.stack.secrets.alertmanager}"}
        return Ask(self.stack.hook_url, headers, bodies, CONNECTIONS, seconds, posts, rate_per_s)

    def signed(self, seconds: float) -> Ask:
        """PagerDuty's test events, each another, so that each is verified and stored."""
        ids = range(self._pings, self._pings + MOST_PINGS)
        self._pings += MOST_PINGS
        bodies = [
            json.dumps({"event": {"id": f"ping-{n}", "event_type": "pagey.ping", "occurred_at": STARTS_AT.isoformat()}})
            for n in ids
        ]
        made = [hmac.new(self._secret.encode(), body.encode(), hashlib.sha256).hexdigest() for body in bodies]
        url = f"{self.stack.url}/webhooks/pagerduty"
        signatures = [f"v1={one}" for one in made]
        return Ask(url, {}, bodies, CONNECTIONS, seconds, MOST_PINGS, signatures=signatures)

    # --- The store -----------------------------------------------------------------------------------------------

    def counted(self, query: str, *values: Any) -> int:
        with psycopg.connect(self.stack.store.dsn(), autocommit=True) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        return int(row[0]) if row else 0

    def forget_steps(self) -> None:
        """The bodies of the rate runs are not what the storm is about."""
        self.counted("WITH gone AS (UPDATE stanch.step SET state = 'done' WHERE state = 'ready' RETURNING 1) "
                     "SELECT count(*) FROM gone")  # fmt: skip

    def settled(self) -> bool:
        """Waits until every body is taken in. False: not in time."""
        end, told = time.monotonic() + SETTLES_WITHIN_S, time.monotonic()
        while time.monotonic() < end:
            if self.counted(OPEN_STEPS) == 0:
                return True
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                say(f"{self.counted(OPEN_STEPS):,} steps to take in")
            time.sleep(0.2)
        return False

    def cpu_s(self, name: str) -> float:
        """Processor time of a process so far, all its threads."""
        child = next(one for one in self._group.children() if one.name == name)
        fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rate(self, name: str, ask: Ask) -> Rate:
        before = self.cpu_s(name)
        (came,) = post(ask)
        return Rate.of(came, self.cpu_s(name) - before)

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of serve and the worker; without the worker before it runs."""
        found = {}
        for child in self._group.children():
            if child.name in PROCESSES:
                status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
                kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
                found[child.name] = round(kilobytes / 1024, 1)
        return found


def say(what: str) -> None:
    """Progress, for whoever waits."""
    click.echo(f"  {what}", err=True)


def post(*asks: Ask) -> list[Came]:
    """By a process of its own, so that neither interpreter waits for the other."""
    lines = "\n".join(json.dumps(asdict(ask)) for ask in asks)
    done = subprocess.run(
        [sys.executable, "-m", "lab.bench.posts"], check=True, input=lines, capture_output=True, text=True, cwd=ROOT
    )
    return [Came(**json.loads(line)) for line in done.stdout.splitlines()]


def notification(first: int, count: int, cause: int, group: int) -> str:
    """Alertmanager's version 4, with count firing alerts of one service."""
    alerts = [
        {
            "status": "firing",
            "labels": {
                "alertname": f"Slow{group}", "service": f"service-{cause}", "instance": f"host-{number}",
                "severity": "page",
            },
            "annotations": {"summary": "p99 is over 1 s"},
            "startsAt": (STARTS_AT + timedelta(seconds=number % 60)).isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.com/graph",
            "fingerprint": hashlib.sha256(f"{number}".encode()).hexdigest()[:16],
        }
        for number in range(first, first + count)
    ]  # fmt: skip
    key = f'{{}}:{{alertname="Slow{group}", service="service-{cause}"}}'
    return json.dumps({"version": "4", "groupKey": key, "truncatedAlerts": 0, "status": "firing", "alerts": alerts})


def rates(bench: Bench, seconds: float, rounds: int) -> dict[str, Any]:
    """Bare and ours in turns, so that a busy minute hurts both; the median round counts."""
    body = notification(0, 1, 0, 0)
    post(bench.bare([body], 1.0), bench.bearer([body], 1.0))
    pairs = []
    for number in range(1, rounds + 1):
        bare = bench.rate("bare", bench.bare([body], seconds))
        ours = bench.rate("serve", bench.bearer([body], seconds))
        pairs.append((bare, ours))
        say(f"round {number} of {rounds}: bare {bare.accepts_per_s:,.0f}/s, ours {ours.accepts_per_s:,.0f}/s")
    bare, ours = (_median([pair[side] for pair in pairs]) for side in (0, 1))
    return {
        "bare": asdict(bare),
        "bearer": asdict(ours),
        "ratio": round(ours.accepts_per_s / bare.accepts_per_s, 2),
        "ratio_by_cpu": round(bare.cpu_us / ours.cpu_us, 2),
        "signed": asdict(bench.rate("serve", bench.signed(seconds))),
    }


def _median(found: Sequence[Rate]) -> Rate:
    return sorted(found, key=lambda one: one.accepts_per_s)[len(found) // 2]


def paced(bench: Bench, seconds: float, bare_per_s: float, ours_per_s: float) -> dict[str, Any]:
    """At given rates, latencies from when each post was due."""
    body = notification(0, 1, 0, 0)
    bare = bench.rate("bare", bench.bare([body], seconds, bare_per_s))
    ours = bench.rate("serve", bench.bearer([body], seconds, rate_per_s=ours_per_s))
    return {
        "bare": {"asked_per_s": round(bare_per_s, 1), **asdict(bare)},
        "bearer": {"asked_per_s": round(ours_per_s, 1), **asdict(ours)},
    }


def storm(bench: Bench) -> dict[str, Any]:
    """10,000 alerts in groups of 100, from CAUSES services: all stored, one incident a cause, memory flat."""
    bodies = [
        notification(number * GROUP_SIZE, GROUP_SIZE, number % CAUSES, number)
        for number in range(STORM_ALERTS // GROUP_SIZE)
    ]
    each = AT_A_TIME // GROUP_SIZE
    memory, statuses, settled = [bench.memory_mib()], Counter[str](), True
    began = time.monotonic()
    for first in range(0, len(bodies), each):
        (came,) = post(bench.bearer(bodies[first : first + each], posts=each))
        statuses.update(came.statuses)
        settled = bench.settled()
        memory.append(bench.memory_mib())
        say(f"{(first + each) * GROUP_SIZE:,} alerts; MiB: {memory[-1]}")
    seconds = time.monotonic() - began
    return {
        "alerts": STORM_ALERTS,
        "posts": dict(statuses),
        "stored": bench.counted("SELECT count(*) FROM stanch.alert"),
        "causes": CAUSES,
        "incidents": bench.counted("SELECT count(*) FROM stanch.incident"),
        "settled": settled,
        "seconds": round(seconds, 1),
        "alerts_per_s": round(STORM_ALERTS / seconds),
        "memory_mib": _curves(memory),
    }


def _curves(memory: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [look[name] for look in memory if name in look] for name in PROCESSES}


def singles(bench: Bench) -> dict[str, Any]:
    """10,000 posts of one alert each, as fast as they go: whatever was answered 202 is in the store."""
    bodies = [notification(100_000 + number, 1, number % CAUSES, number % CAUSES) for number in range(STORM_ALERTS)]
    memory, alerts = [bench.memory_mib()], bench.counted("SELECT count(*) FROM stanch.alert")
    (came,) = post(bench.bearer(bodies, posts=STORM_ALERTS))
    say(f"answered {came.statuses}")
    memory.append(bench.memory_mib())
    held = bench.counted("SELECT count(*) FROM stanch.inbox WHERE receipt = ANY(%s::uuid[])", came.receipts)
    began = time.monotonic()
    settled = bench.settled()
    memory.append(bench.memory_mib())
    return {
        "posts": came.statuses,
        "accepted": came.accepted,
        "lost": came.accepted - held,
        "seconds": round(came.seconds, 1),
        "p99_ms": round(1000 * came.p99, 2),
        "settled": settled,
        "settled_after_s": round(time.monotonic() - began, 1),
        "alerts": bench.counted("SELECT count(*) FROM stanch.alert") - alerts,
        "quarantined": bench.counted("SELECT count(*) FROM stanch.inbox WHERE state = 'quarantined'"),
        "memory_mib": _curves(memory),
    }


@click.command(epilog="\b\nExamples:\n  stanch bench ingest\n  stanch bench ingest --seconds 10 --rounds 3 --json")
@click.option("--seconds", default=6.0, show_default=True, help="How long each rate is measured.")
@click.option("--rounds", default=3, show_default=True, help="How often bare and ours take turns.")
@click.option("--rate", "rate_per_s", type=float, help="Posts a second for the latencies; without it, 70 % of what "
              "each of the two just took.")  # fmt: skip
@click.option("--json", "json_", is_flag=True, help="A JSON object a part.")
def ingest(*, seconds: float, rounds: int, rate_per_s: float | None, json_: bool) -> None:
    """Durable accepts beside a bare application, a storm in groups, a storm of single posts."""
    place = free_place(ROOT / "var" / "bench-ingest")
    with ProcessGroup(place / "run", lambda _: None) as group:
        bench = Bench(group, place)
        click.echo("starting a store, a broker, serve and the bare application", err=True)
        bench.start()
        for name, found in _parts(bench, seconds, rounds, rate_per_s):
            _show(name, found, json_=json_)


def _parts(bench: Bench, seconds: float, rounds: int, rate_per_s: float | None) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "machine", _machine()
    click.echo(f"full load: {rounds} rounds of {seconds:g} s each, bare and ours in turns", err=True)
    full = rates(bench, seconds, rounds)
    yield "full_load", full
    shares = [rate_per_s or PACED_SHARE * full[name]["accepts_per_s"] for name in ("bare", "bearer")]
    click.echo("paced: latencies at a rate that leaves room", err=True)
    yield "paced", paced(bench, seconds, shares[0], shares[1])
    bench.forget_steps()
    bench.stack.start_process("worker-agent")
    parts: tuple[tuple[str, Callable[[Bench], dict[str, Any]]], ...] = (("groups", storm), ("singles", singles))
    for name, part in parts:
        click.echo(f"{name}: a storm of {STORM_ALERTS:,} alerts", err=True)
        yield name, part(bench)
    yield "machine", _machine()


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "load": [round(one, 2) for one in os.getloadavg()]}


def _show(name: str, found: dict[str, Any], *, json_: bool) -> None:
    if json_:
        click.echo(json.dumps({"part": name, **found}))
        return
    click.echo(click.style(name.replace("_", " "), bold=True))
    for key, value in found.items():
        click.echo(f"  {key.replace('_', ' '):20} {value}")
