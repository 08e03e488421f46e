"""orders: the shop's own orders, on PostgreSQL through two small pools.

`SHOP_DSN=… python -m lab.shop.orders --port 8102`

Reads and writes have a pool each, so that placing an order never waits behind a slow list of orders.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.control import Control
from lab.shop.database import Database, add_dsn_argument, dsn_of, pool
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "orders"
READ_POOL_SIZE = 2
WRITE_POOL_SIZE = 2

_NEWEST_ORDERS = """\
SELECT id, customer_id, placed_at, status, total_cents, currency, item_count
FROM orders WHERE customer_id = %s ORDER BY placed_at DESC LIMIT 20"""
_PLACE_ORDER = """\
INSERT INTO orders (customer_id, total_cents, item_count, shipping_country, payment_reference)
VALUES (%s, %s, 1, 'DE', %s) RETURNING id"""


class Orders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, request: Request) -> Response:
        customer_id = http.query_int(request, "customer_id")
        rows = await self._database.run("read", "newest_orders", _NEWEST_ORDERS, (customer_id,))
        keys = ("id", "customer_id", "placed_at", "status", "total_cents", "currency", "item_count")
        found = [dict(zip(keys, row, strict=True)) | {"placed_at": str(row[2])} for row in rows]
        return JSONResponse({"orders": found})

    async def place(self, request: Request) -> Response:
        """Insert and commit one order; committed_at is this process's clock right after COMMIT."""
        body = await http.json_object(request)
        customer_id, amount = http.body_int(body, "customer_id"), http.body_int(body, "amount_cents")
        reference = str(body.get("payment_reference", ""))[:64]
        rows = await self._database.run("write", "place_order", _PLACE_ORDER, (customer_id, amount, reference))
        return JSONResponse({"id": rows[0][0], "committed_at": time.time()}, status_code=201)


def application(
    dsn: str, read_pool: int = READ_POOL_SIZE, write_pool: int = WRITE_POOL_SIZE, *, controlled: bool = False
) -> Starlette:
    telemetry = Telemetry(SERVICE)
    pools = [
        pool(dsn, f"shop-{SERVICE}-{name}", name, size) for name, size in (("read", read_pool), ("write", write_pool))
    ]
    database = Database(telemetry, *pools)
    orders = Orders(database)
    control = Control(telemetry, database.pools) if controlled else None
    newest = http.measured(telemetry, "/orders", orders.newest, control=control)
    place = http.measured(telemetry, "/orders", orders.place, control=control)
    routes = [Route("/orders", newest), Route("/orders", place, methods=["POST"])]
    return http.application(telemetry, routes, database.lifespan, control)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.orders", description="The shop's orders service.")
    http.add_arguments(parser)
    add_dsn_argument(parser)
    parser.add_argument("--read-pool", type=int, default=READ_POOL_SIZE)
    parser.add_argument("--write-pool", type=int, default=WRITE_POOL_SIZE)
    arguments = parser.parse_args()
    dsn = dsn_of(parser, arguments)
    app = application(dsn, arguments.read_pool, arguments.write_pool, controlled=arguments.control)
    http.serve(app, arguments.port)


if __name__ == "__main__":
    main()
