"""catalog: products and their categories, on the orders' PostgreSQL through a pool of its own.

`SHOP_DSN=… python -m lab.shop.catalog --port 8104`
"""

from __future__ import annotations

import argparse
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

SERVICE = "catalog"
POOL = "products"
POOL_SIZE = 2
# As if the server were for this service alone: nothing bounds a pool that does not get its connections back but the
# server's max_connections, and that is where it hurts everybody.
POOL_MOST = 84

_PRODUCT = """\
SELECT id, name, category_id, price_cents, stock, rating FROM products WHERE id = %s"""
_CATEGORY = """\
SELECT id, name, category_id, price_cents, stock, rating
FROM products WHERE category_id = %s ORDER BY popularity DESC LIMIT 20"""
_PRICES_OF_THE_DAY = """\
SELECT product_id, price_cents FROM daily_prices
WHERE category_id = %s AND country = %s AND valid_on = CURRENT_DATE"""
_COUNTRY = "DE"
_KEYS = ("id", "name", "category_id", "price_cents", "stock", "rating")


class Catalog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def product(self, request: Request) -> Response:
        rows = await self._database.run(POOL, "product", _PRODUCT, (http.path_int(request, "product_id"),))
        if not rows:
            raise http.RefusedError(404, "no such product")
        return JSONResponse(dict(zip(_KEYS, rows[0], strict=True)))

    async def search(self, request: Request) -> Response:
        """The twenty most wanted products of a category, at the prices of the day."""
        category_id = http.query_int(request, "category_id")
        rows = await self._database.run(POOL, "category", _CATEGORY, (category_id,))
        today = await self._database.run(POOL, "prices", _PRICES_OF_THE_DAY, (category_id, _COUNTRY))
        usual = [dict(zip(_KEYS, row, strict=True)) for row in rows]
        prices = {row[0]: row[1] for row in today}
        found = [one | {"price_cents": prices.get(one["id"], one["price_cents"])} for one in usual]
        return JSONResponse({"products": found})


def application(dsn: str, pool_size: int = POOL_SIZE, pool_most: int = POOL_MOST, *, controlled: bool) -> Starlette:
    telemetry = Telemetry(SERVICE)
    database = Database(telemetry, pool(dsn, f"shop-{SERVICE}", POOL, pool_size, pool_most))
    catalog = Catalog(database)
    control = Control(telemetry, database.pools) if controlled else None
    product = http.measured(telemetry, "/products/{product_id}", catalog.product, control=control)
    search = http.measured(telemetry, "/products", catalog.search, control=control)
    routes = [Route("/products/{product_id}", product), Route("/products", search)]
    return http.application(telemetry, routes, database.lifespan, control)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.catalog", description="The shop's catalog service.")
    http.add_arguments(parser)
    add_dsn_argument(parser)
    parser.add_argument("--pool", type=int, default=POOL_SIZE, help="connections kept open")
    parser.add_argument("--pool-most", type=int, default=POOL_MOST, help="connections it may open")
    arguments = parser.parse_args()
    dsn = dsn_of(parser, arguments)
    app = application(dsn, arguments.pool, arguments.pool_most, controlled=arguments.control)
    http.serve(app, arguments.port)


if __name__ == "__main__":
    main()
