"""`stanch bench build`: an index built by Stanch's executor while others write, beside a plain CREATE INDEX."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click
import numpy as np
import orjson
import psycopg

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup
from connectors.target.fix import FixConnection
from guardrails.action import CreateIndexConcurrently, action_to_params, render
from guardrails.approved import Approved
from guardrails.fence import Fence
from guardrails.judge import admit
from guardrails.permit import SigningKey, VerifyKeys, digest, proposal_document, sign
from guardrails.policy import Policy
from lab.production import free_place

if TYPE_CHECKING:
    from agent.database.execution import Progress
    from guardrails.action import Action

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "shared_preload_libraries": "pg_stat_statements"}
"""Durable: fsync stays on."""
ACTION = CreateIndexConcurrently("public", "ev", ("customer_id", "created_at"))
PLAIN = "CREATE INDEX plain ON public.ev (customer_id, created_at)"
SETTLE_S = 5.0
"""After the load began, and after each build, before anything counts."""
_SCHEMA = """
CREATE EXTENSION pg_stat_statements;
CREATE ROLE bench_owner NOLOGIN;
CREATE ROLE bench_app LOGIN PASSWORD 'app' IN ROLE pg_read_all_data, pg_write_all_data;
GRANT CREATE ON SCHEMA public TO bench_owner;
SET ROLE bench_owner;
CREATE TABLE public.ev (id bigint PRIMARY KEY, customer_id int, created_at timestamptz, amount int, note text);
"""
_ROWS = """
INSERT INTO public.ev
SELECT g, (g * 7919) %% 50000, timestamptz '2026-01-01' + g * interval '1 second', 1, repeat('n', 60)
FROM generate_series(1::bigint, %s::bigint) g
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One build. gap: the longest time without any commit while it went on; latencies count from when a write was due.

    tps_share is tps_during / tps_before; load: the machine's load average of one minute when the build ended.
    """

    build: str
    status: str
    rows: int
    seconds: float
    tps_before: float
    tps_during: float
    tps_share: float
    longest_gap_s: float
    p50_ms_before: float
    p50_ms_during: float
    p99_ms_before: float
    p99_ms_during: float
    index_bytes: int
    percents_went_back: int
    load: float


@click.command(epilog="\b\nExample:\n  stanch bench build --rows 5000000 --tps 400 --json")
@click.option("--rows", type=click.IntRange(1000), default=5_000_000, show_default=True)
@click.option(
    "--tps", type=click.FloatRange(1), default=400.0, show_default=True, help="Writing transactions a second."
)
@click.option(
    "--before-s", type=click.FloatRange(1), default=15.0, show_default=True, help="Measured before each build."
)
@click.option("--json", "json_", is_flag=True, help="A JSON object a build.")
def build(rows: int, tps: float, before_s: float, json_: bool) -> None:
    """Build one index twice under the same load of writes: by Stanch's executor, then plainly. Asserts nothing."""
    place = free_place(ROOT / "var" / "bench")
    with ProcessGroup(place / "run", _say) as group:
        postgres = EmbeddedPostgres(
            group, "bench", place / "cluster", log_path=place / "postgres.log", progress=_say, settings=SETTINGS
        )
        try:
            postgres.start()
            found = _measured(postgres, rows, tps, before_s)
        finally:
            postgres.stop()
            postgres.remove()
    for one in found:
        click.echo(json.dumps(asdict(one)) if json_ else _line(one))
    sys.exit(0 if all(one.status == "finished" for one in found) else 1)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _measured(postgres: EmbeddedPostgres, rows: int, tps: float, before_s: float) -> list[Figures]:
    postgres.ensure_database("bench")
    _say(f"writing {rows} rows")
    with psycopg.connect(postgres.dsn(database="bench"), autocommit=True) as admin:
        admin.execute(_SCHEMA)
        admin.execute(_ROWS, (rows,))
        admin.execute(f"CREATE SEQUENCE public.ev_id START {rows + 1}".encode())
        admin.execute("GRANT USAGE ON SEQUENCE public.ev_id TO bench_app; RESET ROLE")
        admin.execute(Fence("bench", ("bench_owner",)).sql())
        admin.execute("ALTER ROLE stanch_fix PASSWORD 'fix'")
        admin.execute("VACUUM ANALYZE public.ev")
        admin.execute("CHECKPOINT")
        with _Load(postgres.dsn("bench_app", "app", "bench"), tps, rows) as load:
            _say(f"{tps:g} writing transactions a second; {before_s:g} s before the build by Stanch")
            spans = [_by_stanch(postgres, before_s)]
            _say(f"{before_s:g} s before the plain build")
            spans += [_plainly(admin, before_s)]
        return [span.figures(load.commits, rows) for span in spans]


@dataclass(frozen=True, slots=True)
class _Span:
    """When a build began and ended, by the machine's monotonic clock, and what came of it."""

    build: str
    status: str
    quiet_from: float
    began: float
    ended: float
    index_bytes: int
    percents_went_back: int
    load: float

    def figures(self, commits: np.ndarray, rows: int) -> Figures:
        """commits: (n, 2), moment and milliseconds since due, by moment."""
        before, during = _within(commits, self.quiet_from, self.began), _within(commits, self.began, self.ended)
        tps_before, tps_during = (
            len(part) / (end - start)
            for part, start, end in ((before, self.quiet_from, self.began), (during, self.began, self.ended))
        )
        edges = np.concatenate(([self.began], during[:, 0], [self.ended]))
        return Figures(
            build=self.build,
            status=self.status,
            rows=rows,
            seconds=round(self.ended - self.began, 2),
            tps_before=round(tps_before, 1),
            tps_during=round(tps_during, 1),
            tps_share=round(tps_during / tps_before, 3) if tps_before else 0.0,
            longest_gap_s=round(float(np.max(np.diff(edges))), 3),
            p50_ms_before=_percentile(before, 50),
            p50_ms_during=_percentile(during, 50),
            p99_ms_before=_percentile(before, 99),
            p99_ms_during=_percentile(during, 99),
            index_bytes=self.index_bytes,
            percents_went_back=self.percents_went_back,
            load=self.load,
        )


def _within(commits: np.ndarray, start: float, end: float) -> np.ndarray:
    return commits[(commits[:, 0] >= start) & (commits[:, 0] < end)]


def _percentile(commits: np.ndarray, which: float) -> float:
    return round(float(np.percentile(commits[:, 1], which)), 1) if len(commits) else float("nan")


def _by_stanch(postgres: EmbeddedPostgres, before_s: float) -> _Span:
    percents: list[float] = []

    def note(progress: Progress) -> None:
        if progress.percent is not None:
            percents.append(progress.percent)
        click.echo(f"  {progress.phase} {progress.percent}", err=True)

    with FixConnection(postgres.dsn("stanch_fix", "fix", "bench"), "bench", environment="staging") as fix:
        approved = _approved(fix)
        if refusals := fix.preflight(approved).refusals:
            raise click.ClickException("; ".join(refusals))
        fix.claim(approved.approval_id, "run", 0, "run", "bench")
        time.sleep(SETTLE_S)
        quiet_from = time.monotonic()
        time.sleep(before_s)
        began = time.monotonic()
        result = fix.run(approved, "bench", note)
        ended = time.monotonic()
        size = _size(postgres, str(approved.rendered.object_name))
        fix.claim(approved.approval_id, "rollback", 0, "run", "bench")
        fix.roll_back(approved, "bench")
    back = sum(1 for one, other in itertools.pairwise(percents) if other < one)
    _say(f"{result.status}: {result.detail}")
    return _Span("by Stanch", result.status, quiet_from, began, ended, size, back, os.getloadavg()[0])


def _plainly(admin: psycopg.Connection, before_s: float) -> _Span:
    time.sleep(SETTLE_S)
    quiet_from = time.monotonic()
    time.sleep(before_s)
    began = time.monotonic()
    admin.execute(PLAIN)
    ended = time.monotonic()
    load = os.getloadavg()[0]
    found = admin.execute("SELECT pg_relation_size('public.plain')").fetchone()
    time.sleep(SETTLE_S)
    return _Span("plain", "finished", quiet_from, began, ended, int(found[0]) if found else 0, 0, load)


def _size(postgres: EmbeddedPostgres, index: str) -> int:
    with psycopg.connect(postgres.dsn(database="bench")) as admin:
        found = admin.execute("SELECT pg_relation_size(to_regclass(%s))", (f"public.{index}",)).fetchone()
    return int(found[0] or 0) if found else 0


def _approved(fix: FixConnection) -> Approved[Action]:
    """Judged, signed and admitted as in production, by one person of the bench's own."""
    now, seen, key = datetime.now(UTC), fix.identity(), SigningKey.generate("bench")
    identity = {"system_identifier": seen.system_identifier, "database": seen.database}
    document = proposal_document(
        incident="INC-0",
        proposal="bench",
        revision=1,
        target_kind="postgresql",
        target_identity=identity,
        action=ACTION,
        rendered=render(ACTION, "bench"),
        verification={},
        decide_by=now + timedelta(minutes=30),
        start_by=now + timedelta(hours=1),
        approvers_needed=1,
    )
    admitted = admit(
        kind=ACTION.kind,
        params=action_to_params(ACTION),
        document=document,
        approval_id="bench",
        approved_digest=digest(document),
        permits=[sign(key, approval_id="bench", digest=digest(document), person="bench", decided_at=now)],
        policy=Policy.from_mapping({"approvers": ["bench"]}),
        keys=VerifyKeys.from_text(key.public_text()),
        target="bench",
        target_identity=identity,
        environment="staging",
        now=now,
        paused=None,
    )
    if not isinstance(admitted, Approved):
        raise click.ClickException("; ".join(admitted.reasons))
    return admitted


class _Load:
    """The writers, in a process of their own; commits is there once it has ended."""

    def __init__(self, dsn: str, tps: float, rows: int) -> None:
        self._arguments = (dsn, str(tps), str(rows))
        self.commits = np.empty((0, 2))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "lab.bench.writer", *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        out = self._process.communicate()[0]
        self.commits = np.array(orjson.loads(out or b"[]"), dtype=float).reshape(-1, 2)


def _line(one: Figures) -> str:
    return (
        f"{one.build}: {one.seconds:.1f} s; {one.tps_before:.0f} → {one.tps_during:.0f} tps ({one.tps_share:.1%});"
        f" longest gap without a commit {one.longest_gap_s:.2f} s; p99 {one.p99_ms_before:.0f} →"
        f" {one.p99_ms_during:.0f} ms; load {one.load:.1f}"
    )
