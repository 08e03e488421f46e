"""Snapshots that nobody lets go of: a report's, a slot's, a prepared transaction's."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_XIDS = 20_000
_BURN = f"DO $$ BEGIN FOR i IN 1..{_XIDS + 1000} LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$"
_WASTE = "UPDATE public.orders SET status = status WHERE id % 10 = 0"


def _time_passes(server: TroubledServer) -> None:
    """In transactions, leaving dead rows behind."""
    with server.superuser() as admin:
        admin.execute(_WASTE)
        admin.execute(_BURN)


@contextlib.contextmanager
def _report(server: TroubledServer) -> Iterator[None]:
    with server.session("report") as report, contextlib.ExitStack() as stack:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM public.stock")
        stack.enter_context(running(lambda: report.execute("SELECT pg_sleep(60)")))
        stack.callback(server.calm)
        _time_passes(server)
        yield
    _clear(server)


@contextlib.contextmanager
def _slot(server: TroubledServer) -> Iterator[None]:
    with server.superuser() as admin:
        admin.execute("SELECT pg_create_logical_replication_slot('warehouse', 'pgoutput')")
        try:
            _time_passes(server)
            yield
        finally:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'warehouse'"
            )
    _clear(server)


@contextlib.contextmanager
def _prepared(server: TroubledServer) -> Iterator[None]:
    with server.session("coordinator") as coordinator:
        coordinator.execute("UPDATE public.stock SET amount = amount WHERE id = 999")
        coordinator.execute("PREPARE TRANSACTION 'transfer-17'")
    try:
        _time_passes(server)
        yield
    finally:
        with server.superuser() as admin:
            for (gid,) in admin.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                admin.execute(f"ROLLBACK PREPARED '{gid}'")
    _clear(server)


def _clear(server: TroubledServer) -> None:
    """The dead rows have served; another scenario's tables are to be the only bloated ones."""
    server.calm()
    with server.superuser() as admin:
        admin.execute("VACUUM ANALYZE public.orders")


_NOT = (
    "idle_in_transaction",
    "runaway_query",
    "slot_retains_wal",
    "forgotten_prepared_transaction",
    "autovacuum_starved",
)
_LIMITS = replace(LIMITS, old_xmin_xids=_XIDS, long_query_s=0.1)
SCENARIOS = (
    Scenario("old_xmin", "a report holds a snapshot while others write", _report, _NOT, limits=_LIMITS),
    Scenario("old_xmin", "an inactive logical slot holds the catalog's", _slot, _NOT, limits=_LIMITS),
    Scenario("old_xmin", "a prepared transaction holds one", _prepared, _NOT, limits=_LIMITS),
)
