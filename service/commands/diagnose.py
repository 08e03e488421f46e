"""diagnose: looks at one database now, and says what is wrong with it and what would cure it."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from agent.database.doctor import Report
    from agent.database.limits import Limits
    from agent.database.snapshot import TargetIdentity
    from connectors.target.diagnose import Diagnosis

EPILOG = """\b
Examples:
  stanch diagnose --dsn postgresql://me@db.internal/shop         look for 30 s, then report
  PGPASSWORD=… stanch diagnose --dsn "host=db dbname=shop user=me" --window 5
  stanch diagnose --dsn service=shop --watch                      again and again, until Ctrl-C
  stanch diagnose --dsn postgresql:///shop --json | jq '.findings[].title'
"""
_STEP_S = 0.25


@click.command(epilog=EPILOG)
@click.option("--dsn", default="", help="URL or key=value; what it leaves out, such as the password, comes from PG….")
@click.option(
    "--window", "window_s", default=30.0, show_default=True, type=click.FloatRange(0.5, 3600), help="Seconds to look."
)
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object (a line each time with --watch).")
@click.option("--long-query", type=click.FloatRange(0.1), help="Seconds from which a statement runs too long.")
@click.option("--idle-transaction", type=click.FloatRange(0.1), help="Seconds from which an idle one is too old.")
def diagnose(
    *,
    dsn: str,
    window_s: float,
    watch: bool,
    as_json: bool,
    long_query: float | None,
    idle_transaction: float | None,
) -> None:
    """Find what is wrong with a PostgreSQL (12 to 18) and say what cures it without blocking anybody.

    Only reads, in a read-only session that never holds a transaction open. Exit code 0 when it could look, 2 when not.
    """
    from agent.database.limits import Limits
    from connectors.target.diagnose import Diagnosis

    limits = Limits()
    limits = replace(limits, long_query_s=long_query or limits.long_query_s)
    limits = replace(limits, idle_transaction_s=idle_transaction or limits.idle_transaction_s)
    name = _name(dsn)
    with (
        Diagnosis(dsn, name, sleep=_Countdown(window_s, shown=not as_json and sys.stderr.isatty())) as target,
        contextlib.suppress(KeyboardInterrupt),
    ):
        while True:
            try:
                seen = _look(target, window_s, limits)
            except Unreachable as error:
                if not watch or error.permanent:
                    raise
                click.echo(f"stanch: {error}; trying again", err=True)
                time.sleep(min(window_s, 5.0))
                continue
            _tell(seen, name, as_json=as_json, cleared=watch)
            if not watch:
                return


@dataclass(frozen=True, slots=True)
class _Seen:
    """target None: the server would not let us in, which is itself the finding."""

    target: TargetIdentity | None
    role: str
    report: Report
    seconds: float


def _look(target: Diagnosis, window_s: float, limits: Limits) -> _Seen:
    from agent.database.classes.connection_exhaustion import refused
    from agent.database.doctor import Report, examine
    from agent.database.snapshot import NotVisible

    began = time.monotonic()
    try:
        identity, role = target.identity(), target.role()
    except Unreachable as error:
        finding = refused(error.why)
        if finding is None:
            raise
        unseen = NotVisible("everything else", "the server takes no more connections")
        return _Seen(None, "", Report((finding,), (unseen,)), time.monotonic() - began)
    report = examine(target, window_s, limits)
    return _Seen(identity, role, report, time.monotonic() - began)


def _tell(seen: _Seen, name: str, *, as_json: bool, cleared: bool) -> None:
    from service.diagnosis_text import as_text, granted

    if as_json:
        unseen = [one.as_data() | {"grant": granted(one, seen.role)} for one in seen.report.not_visible]
        answer = {
            "target": seen.target.as_data() if seen.target else {"name": name},
            "findings": [finding.as_data() for finding in seen.report.findings],
            "not_visible": unseen,
            "seconds": round(seen.seconds, 3),
        }
        click.echo(json.dumps(answer, ensure_ascii=False).encode(errors="backslashreplace"))
        return
    if cleared and sys.stdout.isatty():
        click.clear()
    click.echo(as_text(seen.target, name, seen.role, seen.report, seen.seconds))


def _name(dsn: str) -> str:
    """Host, port and database for a person; of a DSN that cannot be read nothing, for it may hold a password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the target"
    place = parts.get("host") or parts.get("hostaddr") or parts.get("service") or "this machine"
    return f"{place}:{parts['port']}" if parts.get("port") else str(place)


@dataclass
class _Countdown:
    """Sleeps, and says on a terminal how much of the sleep is over."""

    window_s: float
    shown: bool
    slept_s: float = 0.0

    def __call__(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _STEP_S))
            self.slept_s += min(left, _STEP_S)
            if self.shown:
                so_far_s = self.slept_s % self.window_s or self.window_s
                click.echo(f"\rlooking … {so_far_s:.0f} of {self.window_s:.0f} s ", err=True, nl=False)
        if self.shown:
            click.echo("\r\033[K", err=True, nl=False)
