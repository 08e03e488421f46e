"""A standby whose replay waits for somebody's statement."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import EmbeddedPostgres
    from lab.provoke.server import TroubledServer

_MESSAGES = 48
_WRITE = "SELECT pg_logical_emit_message(true, 'load', repeat('x', 1000000))"


@contextlib.contextmanager
def _conflict(server: TroubledServer) -> Iterator[EmbeddedPostgres]:
    """A report on the standby holds a table that the primary truncates: replay waits for the report."""
    with contextlib.ExitStack() as stack:
        copy = stack.enter_context(server.standby())
        server.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        admin = stack.enter_context(server.superuser())
        admin.execute("CREATE TABLE public.staging AS SELECT 1 AS id")
        stack.callback(admin.execute, "DROP TABLE IF EXISTS public.staging")
        admin.execute("GRANT SELECT ON public.staging TO shop_app")
        server.until("SELECT replay_lsn >= pg_current_wal_lsn() FROM pg_stat_replication")
        report = stack.enter_context(server.session("report", dsn=copy.dsn("shop_app", "app", "shop")))
        report.execute("SELECT count(*) FROM public.staging")
        stack.enter_context(running(lambda: report.execute("SELECT pg_sleep(60)")))
        stack.callback(report.cancel)
        admin.execute("TRUNCATE public.staging")
        for _ in range(_MESSAGES):
            admin.execute(_WRITE)
        server.until("SELECT pg_wal_lsn_diff(flush_lsn, replay_lsn) > 40000000 FROM pg_stat_replication")
        time.sleep(1.0)
        yield copy


@contextlib.contextmanager
def _seen_from_the_primary(server: TroubledServer) -> Iterator[None]:
    with _conflict(server):
        yield


_NOT = ("slot_retains_wal", "runaway_query", "old_xmin", "row_lock_pile_up")
_LIMITS = replace(LIMITS, replication_lag_s=1.0)
SCENARIOS = (
    Scenario("replication_lag", "replay waits for a report, seen on the standby", _conflict, _NOT, limits=_LIMITS),
    Scenario(
        "replication_lag",
        "replay waits for a report, seen on the primary",
        _seen_from_the_primary,
        _NOT,
        limits=_LIMITS,
    ),
)
