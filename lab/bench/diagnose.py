"""The database doctor measured: what each provoked incident is called, and what a look at a large catalog costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.database.doctor import examine
from connectors.embedded.process import ProcessGroup
from connectors.target.diagnose import Diagnosis
from lab.provoke import SCENARIOS
from lab.provoke.server import TroubledServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.scenario import Scenario

TABLES = 10_000
STATEMENTS = 5_000
WINDOW_S = 3.0
_BATCH = 200
_TABLE = """
CREATE TABLE public.many_{number} (id bigint PRIMARY KEY, body text);
INSERT INTO public.many_{number} VALUES (1, 'one');
"""
_READ = "SELECT body FROM public.many_{number} WHERE id = 1"
_PID = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stanch-diagnose'"
_OURS = """
SELECT coalesce(max(s.max_exec_time), 0)::float8, sum(s.calls)::int
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = 'stanch_diagnose'
"""


@dataclass(frozen=True, slots=True)
class Named:
    """What one scenario was called: the first finding, and all others after it. right: by its name, no look-alike."""

    expected: str
    what: str
    first: str
    others: tuple[str, ...]
    right: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one `stanch diagnose` as a process. own_s: wall time without the window.

    processor_s, server_processor_s: what the command and the server's session for it used of the processor, which
    other work on the machine does not lengthen.
    """

    tables: int
    statements: int
    window_s: float
    own_s: float
    processor_s: float
    server_processor_s: float
    peak_mib: float
    slowest_query_ms: float
    queries: int


def named(server: TroubledServer, scenario: Scenario) -> Named:
    with scenario.on(server) as elsewhere, Diagnosis(server.dsn("diagnose", elsewhere), "shop") as target:
        began = time.perf_counter()
        report = examine(target, scenario.window_s, scenario.limits)
        seconds = time.perf_counter() - began
    names = [finding.incident_class for finding in report.findings]
    first = names[0] if names else "nothing"
    right = first == scenario.incident_class and not set(names) & set(scenario.look_alikes)
    return Named(scenario.incident_class, scenario.what, first, tuple(names[1:]), right, round(seconds, 3))


def cost(server: TroubledServer, tables: int, statements: int) -> Cost:
    _fill(server, tables, statements)
    with server.superuser() as admin:
        before = admin.execute("SELECT count(*) FROM pg_stat_statements").fetchone()
    with _session_watched(server) as used:
        seconds, processor_s, peak_mib = _process(server.dsn("diagnose"))
    with server.superuser() as admin:
        found = admin.execute(_OURS).fetchone()
    slowest, calls = found or (0.0, 0)
    return Cost(
        tables=tables,
        statements=before[0] if before else 0,
        window_s=WINDOW_S,
        own_s=round(seconds - WINDOW_S, 2),
        processor_s=processor_s,
        server_processor_s=round(max(used, default=0.0), 2),
        peak_mib=peak_mib,
        slowest_query_ms=round(slowest, 1),
        queries=calls,
    )


def _fill(server: TroubledServer, tables: int, statements: int) -> None:
    """Tables with a primary key each, and statements told apart by the table they read."""
    with server.superuser() as admin:
        for start in range(0, tables, _BATCH):
            numbers = range(start, min(tables, start + _BATCH))
            admin.execute("".join(_TABLE.format(number=number) for number in numbers))
        admin.execute("ANALYZE")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stanch_diagnose")
        admin.execute("SELECT pg_stat_statements_reset()")
    with server.session("reports", autocommit=True) as session:
        for number in range(min(tables, statements)):
            session.execute(_READ.format(number=number))


def _process(dsn: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of the command itself."""
    command = [sys.executable, "-m", "service.cli", "diagnose", "--dsn", dsn, "--window", str(WINDOW_S), "--json"]
    with tempfile.TemporaryFile() as answer:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=answer)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        answer.seek(0)
        json.loads(answer.read())  # a run that failed has no cost
    return seconds, round(used.ru_utime + used.ru_stime, 2), round(used.ru_maxrss / 1024, 1)


@contextmanager
def _session_watched(server: TroubledServer) -> Iterator[list[float]]:
    """Processor seconds of the server process that answers us, looked at again and again until it has gone."""
    over = threading.Event()
    used: list[float] = []

    def watch() -> None:
        with server.superuser() as admin:
            while not over.wait(0.02):
                found = admin.execute(_PID).fetchone()
                if found is not None:
                    with suppress(OSError):
                        fields = Path(f"/proc/{found[0]}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                        used.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield used
    finally:
        over.set()
        watching.join(timeout=10)


@contextmanager
def _server() -> Iterator[TroubledServer]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with ProcessGroup(place / "run", lambda _line: None) as group:
            server = TroubledServer(group, place)
            server.start()
            try:
                yield server
            finally:
                server.stop()


@click.command(
    epilog="""\b
Examples:
  stanch bench diagnose                          the matrix and the cost
  stanch bench diagnose --only deadlocks         one class
  stanch bench diagnose --json --tables 10000
"""
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--only", default="", help="Classes whose name holds this text; without the cost.")
@click.option("--tables", default=TABLES, show_default=True, type=click.IntRange(1), help="Of the large catalog.")
@click.option("--statements", default=STATEMENTS, show_default=True, type=click.IntRange(1), help="In its statistics.")
def diagnose(*, as_json: bool, only: str, tables: int, statements: int) -> None:
    """Provoke every incident class on a throw-away server and print what each is called; then the cost of a look."""
    chosen = [scenario for scenario in SCENARIOS if only in scenario.incident_class]
    if not chosen:
        raise click.UsageError(f"no class has {only!r} in its name")
    done: list[Named] = []
    with _server() as server:
        for scenario in chosen:
            done.append(named(server, scenario))
            if not as_json:
                click.echo(_line(done[-1]))
    spent = None
    if not only:
        with _server() as server:
            spent = cost(server, tables, statements)
    if as_json:
        click.echo(json.dumps(_data(done, spent)))
        return
    click.echo("")
    for line in (*_matrix(done), "", *_cost_lines(spent)):
        click.echo(line)


def _line(one: Named) -> str:
    beside = f", beside {', '.join(one.others)}" if one.others else ""
    return f"{'ok   ' if one.right else 'WRONG'} {one.expected:32} {one.what}: {one.first}{beside}"


def _matrix(done: list[Named]) -> Iterator[str]:
    """A row a class, with what its scenarios were called and how often; the diagonal is what one wants to see."""
    classes = sorted({one.expected for one in done})
    width = max(map(len, classes))
    yield f"{'provoked':{width}}  diagnosed as"
    for name in classes:
        calls = [one.first for one in done if one.expected == name]
        told = ", ".join(f"{call} {calls.count(call)}" for call in sorted(set(calls)))
        yield f"{name:{width}}  {told}"
    right = sum(one.right for one in done)
    yield f"{right} of {len(done)} scenarios by their name and by no look-alike's"


def _cost_lines(spent: Cost | None) -> Iterator[str]:
    if spent is None:
        return
    yield f"{spent.tables} tables, {spent.statements} statements, window {spent.window_s:.0f} s:"
    yield f"  {spent.own_s:.2f} s besides the window, {spent.peak_mib:.0f} MiB at most"
    yield f"  processor: {spent.processor_s:.2f} s here, {spent.server_processor_s:.2f} s on the server"
    yield f"  {spent.queries} queries, the slowest {spent.slowest_query_ms:.0f} ms on the server"


def _data(done: list[Named], spent: Cost | None) -> dict[str, Any]:
    names = ("expected", "what", "first", "others", "right", "seconds")
    figures: dict[str, Any] = {"matrix": [{name: getattr(one, name) for name in names} for one in done]}
    figures["right"] = sum(one.right for one in done)
    if spent is not None:
        figures["cost"] = {name: getattr(spent, name) for name in Cost.__slots__}
    return figures
