"""billing: a background job that puts new orders on invoices, on a connection of its own.

`SHOP_DSN=… python -m lab.shop.billing --port 8105`

Every few seconds it takes the orders since the last time. At the end of a month it goes through all orders instead,
which takes a while; no invoice is made meanwhile, as planned.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.control import LONGEST_S, number
from lab.shop.database import Database, add_dsn_argument, dsn_of, pool
from lab.shop.telemetry import LATENCY_BUCKETS_S, Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "billing"
EVERY_S = 3.0
MONTH_END_S = 40.0
STATEMENT_TIMEOUT_MS = 30_000
_SLICE = 20_000
_PAUSE_S = 0.2
_POOL = "jobs"

# In one statement, so that the job's progress and the invoices are of one transaction. Two seconds old, so that an
# order whose number is lower but whose commit is later is not passed over.
_INVOICE = """\
WITH progress AS (
    SELECT last_order_id FROM billing_progress WHERE job = 'invoices' FOR UPDATE
), fresh AS (
    SELECT id, customer_id, total_cents FROM orders
    WHERE id > (SELECT last_order_id FROM progress) AND placed_at < now() - interval '2 seconds'
    ORDER BY id LIMIT %s
), made AS (
    INSERT INTO invoices (customer_id, orders, total_cents)
    SELECT customer_id, count(*), sum(total_cents) FROM fresh GROUP BY customer_id
    RETURNING id
), moved AS (
    UPDATE billing_progress SET last_order_id = (SELECT max(id) FROM fresh)
    WHERE job = 'invoices' AND EXISTS (SELECT FROM fresh)
    RETURNING last_order_id
)
SELECT count(*) FROM made"""
_MONTH_END = """\
SELECT customer_id, count(*), sum(total_cents) FROM orders
WHERE id > %s AND id <= %s GROUP BY customer_id ORDER BY sum(total_cents) DESC LIMIT 100"""


class Billing:
    def __init__(self, telemetry: Telemetry, database: Database) -> None:
        self._database = database
        self._month_end_until = 0.0
        self._runs = Counter(
            "job_runs_total", "Runs of the job, by outcome.", ["service", "outcome"], registry=telemetry.registry
        )
        self._seconds = Histogram(
            "job_duration_seconds",
            "Time a run took.",
            ["service"],
            buckets=LATENCY_BUCKETS_S,
            registry=telemetry.registry,
        )
        self._last = Gauge(
            "job_last_success_timestamp_seconds",
            "When the last run ended that made the invoices there were to make.",
            ["service"],
            registry=telemetry.registry,
        )
        # A job that never ran is as late as one that stopped now, not since 1970.
        self._last.labels(SERVICE).set(time.time())

    async def work(self) -> None:
        """Until it is cancelled."""
        while True:
            began = time.monotonic()
            if began < self._month_end_until:
                await self._month_end()
            else:
                await self._invoice()
            await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))

    async def _invoice(self) -> None:
        began, outcome = time.perf_counter(), "failed"
        try:
            await self._database.run(_POOL, "invoice", _INVOICE, (_SLICE,))
            outcome = "succeeded"
            self._last.labels(SERVICE).set_to_current_time()
        except http.RefusedError as refused:
            print(f"billing: {refused.why}", flush=True)  # noqa: T201  # its log
        finally:
            self._runs.labels(SERVICE, outcome).inc()
            self._seconds.labels(SERVICE).observe(time.perf_counter() - began)

    async def _month_end(self) -> None:
        """Slice by slice with a pause after each, so that nobody else is kept waiting for it."""
        first = 0
        while time.monotonic() < self._month_end_until:
            try:
                rows = await self._database.run(_POOL, "month_end", _MONTH_END, (first, first + _SLICE))
            except http.RefusedError as refused:
                print(f"billing: {refused.why}", flush=True)  # noqa: T201  # its log
                rows = []
            first = first + _SLICE if rows else 0
            await asyncio.sleep(_PAUSE_S)

    async def control(self, request: Request) -> Response:
        """{"kind": "month_end" | "none", "seconds": how long}: begins or ends the month's end."""
        body = await http.json_object(request)
        now = time.monotonic()
        match body.get("kind"):
            case "month_end":
                if now < self._month_end_until:
                    raise http.RefusedError(409, "month_end is on already; undo it first")
                self._month_end_until = now + number(body, "seconds", LONGEST_S, MONTH_END_S)
            case "none":
                self._month_end_until = 0.0
            case other:
                raise http.RefusedError(400, f"{other!r} is nothing this job can be told")
        return JSONResponse({"status": "ok"})


def application(dsn: str, *, controlled: bool = False) -> Starlette:
    telemetry = Telemetry(SERVICE)
    database = Database(telemetry, pool(dsn, f"shop-{SERVICE}", _POOL, 1, timeout_ms=STATEMENT_TIMEOUT_MS))
    billing = Billing(telemetry, database)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with database.lifespan(app):
            work = asyncio.create_task(billing.work())
            yield
            work.cancel()
            await asyncio.wait([work])

    routes = [Route("/control", http.answered(billing.control), methods=["POST"])] if controlled else []
    return http.application(telemetry, routes, lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.billing", description="The shop's background job.")
    http.add_arguments(parser)
    add_dsn_argument(parser)
    arguments = parser.parse_args()
    http.serve(application(dsn_of(parser, arguments), controlled=arguments.control), arguments.port)


if __name__ == "__main__":
    main()
