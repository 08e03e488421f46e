"""orders: the shop's own orders, on PostgreSQL through two small pools.

`SHOP_DSN=… python -m lab.shop.orders --port 8102`

Reads and writes have a pool each, so that placing an order never waits behind a slow list of orders. The DSN
comes by environment or file, never by argument: an argument is for everyone on the machine to read.
"""

from __future__ import annotations

import argparse
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
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.telemetry import LATENCY_BUCKETS_S, Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "orders"
READ_POOL_SIZE = 2
WRITE_POOL_SIZE = 2
# How long a request queues for a connection before it is turned away: bounds both the latency under a fault and
# the queue that is left to work off after it.
POOL_WAIT_S = 3.0
# Ends a statement that nobody waits for any more, a second after the request's own deadline: see Orders._run.
STATEMENT_TIMEOUT_MS = int(1000 * (http.REQUEST_TIMEOUT_S + 1))

_NEWEST_ORDERS = """\
SELECT id, customer_id, placed_at, status, total_cents, currency, item_count
FROM orders WHERE customer_id = %s ORDER BY placed_at DESC LIMIT 20"""
_PLACE_ORDER = """\
INSERT INTO orders (customer_id, total_cents, item_count, shipping_country, payment_reference)
VALUES (%s, %s, 1, 'DE', %s) RETURNING id"""

_Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[object, ...]]]


def pool(dsn: str, name: str, size: int) -> _Pool:
    """A pool of `size` autocommit connections, not yet open."""
    return AsyncConnectionPool(
        dsn,
        name=name,
        min_size=size,
        max_size=size,
        timeout=POOL_WAIT_S,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": f"shop-{SERVICE}-{name}",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
        },
        reconnect_timeout=0,  # a database that restarts is tried again for as long as it takes
    )


class PoolCollector:
    """db_pool_*: read from the pools when Prometheus asks."""

    def __init__(self, *pools: _Pool) -> None:
        self._pools = pools

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["service", "pool"]
        size = GaugeMetricFamily("db_pool_size", "Connections the pool may hold.", labels=labels)
        used = GaugeMetricFamily("db_pool_connections_in_use", "Connections lent out.", labels=labels)
        waiting = GaugeMetricFamily("db_pool_requests_waiting", "Requests queued for a connection.", labels=labels)
        for one in self._pools:
            stats = one.get_stats()
            size.add_metric([SERVICE, one.name], one.max_size)
            lent = stats.get("pool_size", 0) - stats.get("pool_available", 0)
            used.add_metric([SERVICE, one.name], lent)
            waiting.add_metric([SERVICE, one.name], stats.get("requests_waiting", 0))
        return [size, used, waiting]


class Orders:
    def __init__(self, reads: _Pool, writes: _Pool, telemetry: Telemetry) -> None:
        self._reads = reads
        self._writes = writes
        labels = ["service", "statement"]
        self._query_seconds = Histogram(
            "db_query_duration_seconds",
            "Time a statement took, waiting for a connection not counted.",
            labels,
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

    async def newest(self, request: Request) -> Response:
        customer_id = http.query_int(request, "customer_id")
        rows = await self._run(self._reads, "newest_orders", _NEWEST_ORDERS, (customer_id,))
        keys = ("id", "customer_id", "placed_at", "status", "total_cents", "currency", "item_count")
        found = [dict(zip(keys, row, strict=True)) | {"placed_at": str(row[2])} for row in rows]
        return JSONResponse({"orders": found})

    async def place(self, request: Request) -> Response:
        """Insert and commit one order; committed_at is this process's clock right after COMMIT."""
        body = await http.json_object(request)
        customer_id, amount = http.body_int(body, "customer_id"), http.body_int(body, "amount_cents")
        reference = str(body.get("payment_reference", ""))[:64]
        rows = await self._run(self._writes, "place_order", _PLACE_ORDER, (customer_id, amount, reference))
        return JSONResponse({"id": rows[0][0], "committed_at": time.time()}, status_code=201)

    async def _run(
        self, pool: _Pool, statement: str, query: str, values: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        """Goes on when the request is past its deadline: cancelled in the middle, it could keep its connection.

        Seen with psycopg-pool 3.3.3 on a busy machine: both read connections idle on the server and lent out for
        ever in the pool, so that the shop stayed slow after its repair.
        """
        work = asyncio.ensure_future(self._ask(pool, statement, query, values))
        work.add_done_callback(_hear)
        return await asyncio.shield(work)

    async def _ask(
        self, pool: _Pool, statement: str, query: str, values: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        asked = time.perf_counter()
        try:
            async with pool.connection() as connection:
                got = time.perf_counter()
                self._wait_seconds.labels(SERVICE, pool.name).observe(got - asked)
                try:
                    cursor = await connection.execute(query.encode(), values, prepare=True)
                    return await cursor.fetchall()
                finally:
                    self._query_seconds.labels(SERVICE, statement).observe(time.perf_counter() - got)
        except (PoolTimeout, TooManyRequests) as full:
            self._wait_seconds.labels(SERVICE, pool.name).observe(time.perf_counter() - asked)
            raise http.RefusedError(503, f"no {pool.name} connection free within {POOL_WAIT_S:g} s") from full
        except errors.ForeignKeyViolation as unknown:
            raise http.RefusedError(404, "no such customer") from unknown
        except psycopg.Error as failed:
            raise http.RefusedError(503, f"orders-db: {type(failed).__name__}") from failed


def _hear(work: asyncio.Future[list[tuple[object, ...]]]) -> None:
    """A failure that nobody waits for any more is no surprise."""
    if not work.cancelled():
        work.exception()


def application(dsn: str, read_pool: int = READ_POOL_SIZE, write_pool: int = WRITE_POOL_SIZE) -> Starlette:
    telemetry = Telemetry(SERVICE)
    reads, writes = pool(dsn, "read", read_pool), pool(dsn, "write", write_pool)
    telemetry.registry.register(PoolCollector(reads, writes))
    orders = Orders(reads, writes, telemetry)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # Not waiting for the database: a shop that starts before it answers 503 and heals by itself.
        await reads.open(wait=False)
        await writes.open(wait=False)
        yield
        await reads.close()
        await writes.close()

    newest = http.measured(telemetry, "/orders", orders.newest)
    place = http.measured(telemetry, "/orders", orders.place)
    routes = [Route("/orders", newest), Route("/orders", place, methods=["POST"])]
    return http.application(telemetry, routes, lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.orders", description="The shop's orders service.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dsn-file", type=Path, help="file that holds the DSN; without it, $SHOP_DSN")
    parser.add_argument("--read-pool", type=int, default=READ_POOL_SIZE)
    parser.add_argument("--write-pool", type=int, default=WRITE_POOL_SIZE)
    arguments = parser.parse_args()
    dsn = arguments.dsn_file.read_text(encoding="utf-8").strip() if arguments.dsn_file else os.environ.get("SHOP_DSN")
    if not dsn:
        parser.error("the orders service needs --dsn-file or $SHOP_DSN")
    http.serve(application(dsn, arguments.read_pool, arguments.write_pool), arguments.port)


if __name__ == "__main__":
    main()
