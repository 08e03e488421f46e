"""How the shop's services use their database: pools that are measured, statements that outlive their request."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily
from psycopg import errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from lab.shop import http
from lab.shop.telemetry import LATENCY_BUCKETS_S

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette

    from lab.shop.telemetry import Telemetry

# How long a request queues for a connection before it is turned away: bounds both the latency under a fault and
# the queue that is left to work off after it.
POOL_WAIT_S = 3.0
# Ends a statement that nobody waits for any more, a second after the request's own deadline: see Database.run.
STATEMENT_TIMEOUT_MS = int(1000 * (http.REQUEST_TIMEOUT_S + 1))

# A pool that has grown gives one connection back each time this has passed with one to spare. The library's ten minutes
# would keep what a leak or slow statements made it open for hours, and DatabaseConnectionsHigh on with it.
POOL_IDLE_S = 0.25

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[object, ...]]]
Rows = list[tuple[object, ...]]


def pool(
    dsn: str, application: str, name: str, size: int, most: int | None = None, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Pool:
    """A pool of `size` autocommit connections that may grow to `most`, not yet open.

    application: how the server knows its sessions. timeout_ms: of a statement.
    """
    return AsyncConnectionPool(
        dsn,
        name=name,
        min_size=size,
        max_size=most or size,
        timeout=POOL_WAIT_S,
        max_idle=POOL_IDLE_S,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": application,
            "options": f"-c statement_timeout={timeout_ms}",
        },
        reconnect_timeout=0,  # a database that restarts is tried again for as long as it takes
    )


class PoolCollector:
    """db_pool_*: read from the pools when Prometheus asks."""

    def __init__(self, service: str, *pools: Pool) -> None:
        self._service = service
        self._pools = pools

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["service", "pool"]
        size = GaugeMetricFamily("db_pool_size", "Connections the pool may hold.", labels=labels)
        used = GaugeMetricFamily("db_pool_connections_in_use", "Connections lent out.", labels=labels)
        waiting = GaugeMetricFamily("db_pool_requests_waiting", "Requests queued for a connection.", labels=labels)
        for one in self._pools:
            stats = one.get_stats()
            size.add_metric([self._service, one.name], one.max_size)
            lent = stats.get("pool_size", 0) - stats.get("pool_available", 0)
            used.add_metric([self._service, one.name], lent)
            waiting.add_metric([self._service, one.name], stats.get("requests_waiting", 0))
        return [size, used, waiting]


class Database:
    """Statements of one service on its pools, each timed. Opens the pools with the application: see lifespan."""

    def __init__(self, telemetry: Telemetry, *pools: Pool) -> None:
        self.pools = {one.name: one for one in pools}
        self._service = telemetry.service
        telemetry.registry.register(PoolCollector(self._service, *pools))
        self._query_seconds = Histogram(
            "db_query_duration_seconds",
            "Time a statement took, waiting for a connection not counted.",
            ["service", "statement"],
            buckets=LATENCY_BUCKETS_S,
            registry=telemetry.registry,
        )
        self._wait_seconds = Histogram(
            "db_pool_wait_seconds",
            "Time a request waited for a connection.",
            ["service", "pool"],
            buckets=LATENCY_BUCKETS_S,
            registry=telemetry.registry,
        )

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Does not wait for the database: a shop that starts before it answers 503 and heals by itself."""
        for one in self.pools.values():
            await one.open(wait=False)
        yield
        for one in self.pools.values():
            await one.close()

    async def run(self, pool: str, statement: str, query: str, values: tuple[object, ...]) -> Rows:
        """Rows. Raises RefusedError: 503 without a connection or an answer, 404 for a foreign key that misses.

        Goes on when the request is past its deadline: cancelled in the middle, it could keep its connection. Seen with
        psycopg-pool 3.3.3 on a busy machine: both read connections idle on the server and lent out for ever in the
        pool, so that the shop stayed slow after its repair.
        """
        work = asyncio.ensure_future(self._ask(self.pools[pool], statement, query, values))
        work.add_done_callback(_hear)
        return await asyncio.shield(work)

    async def _ask(self, pool: Pool, statement: str, query: str, values: tuple[object, ...]) -> Rows:
        asked = time.perf_counter()
        try:
            async with pool.connection() as connection:
                got = time.perf_counter()
                self._wait_seconds.labels(self._service, pool.name).observe(got - asked)
                try:
                    cursor = await connection.execute(query.encode(), values, prepare=True)
                    return await cursor.fetchall()
                finally:
                    self._query_seconds.labels(self._service, statement).observe(time.perf_counter() - got)
        except (PoolTimeout, TooManyRequests) as full:
            self._wait_seconds.labels(self._service, pool.name).observe(time.perf_counter() - asked)
            raise http.RefusedError(503, f"no {pool.name} connection free within {POOL_WAIT_S:g} s") from full
        except errors.ForeignKeyViolation as unknown:
            raise http.RefusedError(404, "no such customer") from unknown
        except psycopg.Error as failed:
            raise http.RefusedError(503, f"orders-db: {type(failed).__name__}") from failed


def _hear(work: asyncio.Future[Rows]) -> None:
    """A failure that nobody waits for any more is no surprise."""
    if not work.cancelled():
        work.exception()


def add_dsn_argument(parser: argparse.ArgumentParser) -> None:
    """The DSN comes by environment or file, never by argument: an argument is for everyone on the machine to read."""
    parser.add_argument("--dsn-file", type=Path, help="file that holds the DSN; without it, $SHOP_DSN")


def dsn_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    path: Path | None = arguments.dsn_file
    dsn = path.read_text(encoding="utf-8").strip() if path else os.environ.get("SHOP_DSN")
    if not dsn:
        parser.error("this service needs --dsn-file or $SHOP_DSN")
    return dsn
