"""Dead rows that no autovacuum comes for: switched off, shut out, or every worker asleep for its cost delay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_ROWS = 60_000
_DEAD = 30_000
_TABLES = 4


_MAKE = """
CREATE TABLE {table} WITH ({storage}) AS
  SELECT g AS id, repeat('x', 100) AS body FROM generate_series(1, {rows}) g;
ALTER TABLE {table} OWNER TO shop_owner;
ANALYZE {table};
"""
_DELETE = "DELETE FROM {table} WHERE id <= {dead}"
_KNOWN = "SELECT count(*) = {tables} FROM pg_stat_user_tables WHERE relname LIKE 'dead%' AND n_dead_tup >= {dead}"


@contextlib.contextmanager
def _dead_rows(server: TroubledServer, tables: int, storage: str = "fillfactor = 100") -> Iterator[None]:
    """Tables of the shop of which half the rows are dead, and known to be so."""
    names = [f"public.dead{number}" for number in range(tables)]
    with server.superuser() as admin:
        for name in names:
            admin.execute(_MAKE.format(table=name, storage=storage, rows=_ROWS))
            admin.execute(_DELETE.format(table=name, dead=_DEAD))
    server.until(_KNOWN.format(tables=tables, dead=_DEAD))
    try:
        yield
    finally:
        with server.superuser() as admin:
            for name in names:
                admin.execute(f"DROP TABLE {name}")


@contextlib.contextmanager
def _switched_off(server: TroubledServer) -> Iterator[None]:
    with _dead_rows(server, 1, "autovacuum_enabled = false"):
        yield


@contextlib.contextmanager
def _shut_out(server: TroubledServer) -> Iterator[None]:
    with _dead_rows(server, 1), server.session("maintenance", dsn=server.deploy) as holder:
        holder.execute("LOCK TABLE public.dead0 IN SHARE UPDATE EXCLUSIVE MODE")
        yield
        holder.close()


@contextlib.contextmanager
def _throttled(server: TroubledServer) -> Iterator[None]:
    with (
        _dead_rows(server, _TABLES),
        server.settings(
            autovacuum_vacuum_cost_delay="100ms", autovacuum_vacuum_cost_limit="1", autovacuum_naptime="1s"
        ),
    ):
        # One of the three may be at another database: a worker is a worker.
        server.until("SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'")
        yield
    with server.superuser() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'")


_NOT = ("old_xmin", "table_bloat", "wraparound")
SCENARIOS = (
    Scenario("autovacuum_starved", "autovacuum is switched off for a table that changes", _switched_off, _NOT),
    Scenario("autovacuum_starved", "an idle session holds a lock autovacuum steps aside for", _shut_out, _NOT),
    Scenario("autovacuum_starved", "all workers sleep for their cost delay", _throttled, _NOT, lasts=True),
)
