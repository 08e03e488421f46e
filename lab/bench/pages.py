"""`stanch bench pages`: how long the pages take, what they weigh, what open ones cost, on a seeded store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx
import psycopg

from connectors.embedded.process import ProcessGroup
from lab.bench.seed import SERVICES, seed
from lab.production import free_place
from lab.stack import PERSON, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 20
COLD_ROUNDS = 2
FIGURES_OLD_S = 16.0
"""After so long the overview's figures are counted anew."""
STREAMS = 50
IDLE_S = 15.0
EVENT_EVERY_S = 2.0
SETTLE_S = 5.0
LATENCIES = 20
BROWSER = {"accept": "text/html", "accept-encoding": "gzip", "sec-fetch-site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Bench:
    stack: Stack
    client: httpx.Client
    newest: int
    pid: int


@click.command(epilog="\b\nExample:\n  stanch bench pages --incidents 10000 --points 1000000 --json")
@click.option("--incidents", type=click.IntRange(10, 1_000_000), default=10_000, show_default=True)
@click.option("--points", type=click.IntRange(1), default=1_000_000, show_default=True, help="Points of evidence.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a measurement.")
def pages(incidents: int, points: int, json_: bool) -> None:
    """Time of the server, bytes and time in a browser, cost of open pages, delay of events. Asserts nothing."""
    with _running(incidents, points) as bench:
        for row in _rows(bench):
            row |= {"load_1min": round(os.getloadavg()[0], 1)}
            click.echo(json.dumps(row) if json_ else "  ".join(f"{name} {value}" for name, value in row.items()))


def _rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """One after another, so that each is there as soon as it is measured."""
    _say("the server's time, then the overview counted anew")
    yield from _server(bench)
    _say("in a browser")
    yield from _browser(bench)
    _say(f"{STREAMS} open pages, {IDLE_S:.0f} s each: nobody, idle, an event each {EVENT_EVERY_S:.0f} s")
    yield _streams(bench)
    _say("from COMMIT to the page")
    yield _latency(bench)


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextlib.contextmanager
def _running(incidents: int, points: int) -> Iterator[Bench]:
    """A store of its own, seeded, with `stanch serve` on it; whatever is configured is not touched."""
    place = free_place(ROOT / "var" / "bench-pages")
    with ProcessGroup(place / "run", lambda _line: None) as group:
        stack = Stack(group, place, progress=lambda _line: None)
        stack.start_store()
        seed(stack.store.dsn(), incidents=incidents, points=points,
             told=lambda share: click.echo(f"\rseeding {share:4.0%}", nl=share >= 1, err=True))  # fmt: skip
        stack.broker.start()
        targets = {f"{name}-db": {"mode": "act", "environment": "production"} for name in SERVICES}
        stack.configure({"targets": targets, "approvers": [PERSON]}, prometheus_url=None)
        child = stack.start_process("serve")
        with httpx.Client(base_url=stack.url, headers=BROWSER, timeout=30, trust_env=False) as client:
            client.get(stack.login_url)
            yield Bench(stack, client, incidents, child.pid)
        stack.store.stop()
        stack.store.remove()


# --- The server --------------------------------------------------------------------------------------------------


def _server(bench: Bench) -> Iterator[dict[str, Any]]:
    """Seconds until the last byte, over one connection that is kept."""
    for path in ("/", "/?days=90", f"/i/INC-{bench.newest}", f"/i/INC-{bench.newest - 100}", "/incidents", "/audit"):
        _timed(bench, path)
        seconds = [_timed(bench, path) for _ in range(ROUNDS)]
        yield {"measured": f"server {path}", "median_s": statistics.median(seconds), "worst_s": max(seconds)}
    counted = []
    for _ in range(COLD_ROUNDS):
        time.sleep(FIGURES_OLD_S)
        counted.append(_timed(bench, "/"))
    yield {"measured": "server / counted anew", "median_s": statistics.median(counted), "worst_s": max(counted)}


def _timed(bench: Bench, path: str) -> float:
    began = time.perf_counter()
    answer = bench.client.get(path)
    answer.raise_for_status()
    return round(time.perf_counter() - began, 4)


# --- In a browser ------------------------------------------------------------------------------------------------


def _browser(bench: Bench) -> Iterator[dict[str, Any]]:
    """First visit with nothing cached. usable: the page is read in and its scripts have run."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 only for measuring and for tests
    except ImportError:
        program = None
    if program is None:
        click.echo("no chromium on PATH, or no playwright: nothing is measured in a browser", err=True)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path in ("/", f"/i/INC-{bench.newest}"):
            runs = [_visit(browser, bench, path) for _ in range(5)]
            yield {
                "measured": f"browser {path}",
                "bytes": runs[0][0],
                "usable_median_s": round(statistics.median(usable for _, usable in runs), 3),
                "usable_worst_s": round(max(usable for _, usable in runs), 3),
            }
        browser.close()


def _visit(browser: Any, bench: Bench, path: str) -> tuple[int, float]:
    context = browser.new_context()
    cookies = [{"name": name, "value": value, "url": bench.stack.url} for name, value in bench.client.cookies.items()]
    context.add_cookies(cookies)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto(bench.stack.url + path, wait_until="load")
    page.wait_for_timeout(500)
    usable = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") / 1000
    context.close()
    return int(sum(received)), usable


# --- Open pages --------------------------------------------------------------------------------------------------


def _streams(bench: Bench) -> dict[str, Any]:
    """Share of one core that serve takes: with nobody there, with the pages open, and with an event now and then, which
    reaches the overviews and a third of the incident pages. told: events that reached pages, of those that had to.
    """
    alone = _core_share(bench.pid, IDLE_S)
    told: list[int] = []
    with contextlib.ExitStack() as opened, ThreadPoolExecutor(STREAMS) as readers:
        paths = ["/" if index % 5 == 0 else f"/i/INC-{bench.newest - index % 3}" for index in range(STREAMS)]
        for path in paths:
            readers.submit(_open_page, bench, path, opened, told)
        time.sleep(SETTLE_S)
        idle = _core_share(bench.pid, IDLE_S)
        with psycopg.connect(bench.stack.store.dsn(), autocommit=True) as connection:
            # The first event after a page came brings every part; what goes on afterwards is what is measured.
            _event(connection, bench.newest)
            time.sleep(EVENT_EVERY_S)
            told.clear()
            ends, events = time.monotonic() + IDLE_S, 0
            before, began = _cpu_s(bench.pid), time.monotonic()
            while time.monotonic() < ends:
                _event(connection, bench.newest)
                events += 1
                time.sleep(EVENT_EVERY_S)
            busy = (_cpu_s(bench.pid) - before) / (time.monotonic() - began)
        bench.stack.group.end("serve")
    bench.stack.start_process("serve")
    due = events * sum(path == f"/i/INC-{bench.newest}" for path in paths)
    return {"measured": f"{STREAMS} open pages", "core_share_alone": round(alone, 4), "core_share_idle": round(idle, 4),
            f"core_share_event_each_{EVENT_EVERY_S:.0f}s": round(busy, 4), "told": len(told), "due": due,
            "bytes_a_page": round(statistics.mean(told)) if told else None}  # fmt: skip


def _open_page(bench: Bench, path: str, opened: contextlib.ExitStack, told: list[int]) -> None:
    """As the script does: what is sent takes the place of what was shown. told: bytes of each event with parts."""
    client = opened.enter_context(_client(bench))
    with contextlib.suppress(httpx.HTTPError), client.stream("GET", f"{path.rstrip('/')}/events") as stream:
        told.extend(len(line) for line in stream.iter_lines() if line.startswith("data: ") and '"html"' in line)


def _client(bench: Bench) -> httpx.Client:
    timeout = httpx.Timeout(10, read=3600)
    return httpx.Client(base_url=bench.stack.url, cookies=bench.client.cookies, timeout=timeout, trust_env=False)


def _event(connection: psycopg.Connection, incident: int) -> None:
    connection.execute(
        "INSERT INTO stanch.audit (incident_id, actor, action, data) "
        """VALUES (%s, 'bench', 'CheckAnswered', '{"note": "a check of the benchmark answered"}')""",
        (incident,),
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _core_share(pid: int, seconds: float) -> float:
    before, began = _cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu_s(pid) - before) / (time.monotonic() - began)


def _latency(bench: Bench) -> dict[str, Any]:
    """From COMMIT in the store to the line on an open page's stream."""
    seconds = []
    with (
        psycopg.connect(bench.stack.store.dsn(), autocommit=True) as connection,
        _client(bench) as client,
        client.stream("GET", f"/i/INC-{bench.newest}/events") as stream,
    ):
        lines = (line for line in stream.iter_lines() if line.startswith("event:"))
        next(lines)
        for _ in range(LATENCIES):
            time.sleep(0.5)
            _event(connection, bench.newest)
            committed = time.perf_counter()
            next(lines)
            seconds.append(time.perf_counter() - committed)
    return {"measured": "commit to page", "median_s": round(statistics.median(seconds), 4),
            "worst_s": round(max(seconds), 4)}  # fmt: skip
