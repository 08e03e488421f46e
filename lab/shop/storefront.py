"""storefront: what the shop's customers talk to; asks orders, payments and catalog.

`python -m lab.shop.storefront --port 8101 --orders http://127.0.0.1:8102 --payments http://127.0.0.1:8103
--catalog http://127.0.0.1:8104`
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.control import Control
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "storefront"


class Storefront:
    def __init__(self, orders: http.Peer, payments: http.Peer, catalog: http.Peer) -> None:
        self._orders = orders
        self._payments = payments
        self._catalog = catalog

    async def account(self, request: Request) -> Response:
        """A customer's newest orders beside the ways they can pay."""
        customer_id = http.path_int(request, "customer_id")
        orders, methods = await asyncio.gather(
            self._orders.call("GET", f"/orders?customer_id={customer_id}"),
            self._payments.call("GET", f"/customers/{customer_id}/methods"),
        )
        return JSONResponse({"orders": orders["orders"], "methods": methods["methods"]})

    async def checkout(self, request: Request) -> Response:
        """Authorise, then place. Answers with when the order was committed, epoch seconds."""
        body = await http.json_object(request)
        customer_id, amount = http.body_int(body, "customer_id"), http.body_int(body, "amount_cents")
        paid = await self._payments.call(
            "POST", "/authorisations", {"customer_id": customer_id, "amount_cents": amount}
        )
        order = {"customer_id": customer_id, "amount_cents": amount, "payment_reference": paid["reference"]}
        placed = await self._orders.call("POST", "/orders", order)
        return JSONResponse(placed, status_code=201)

    async def product(self, request: Request) -> Response:
        """A product beside others of its category."""
        product_id = http.path_int(request, "product_id")
        product = await self._catalog.call("GET", f"/products/{product_id}")
        others = await self._catalog.call("GET", f"/products?category_id={product['category_id']}")
        return JSONResponse({"product": product, "others": others["products"]})

    async def search(self, request: Request) -> Response:
        category_id = http.query_int(request, "category_id")
        return JSONResponse(await self._catalog.call("GET", f"/products?category_id={category_id}"))


def application(orders_url: str, payments_url: str, catalog_url: str, *, controlled: bool = False) -> Starlette:
    telemetry = Telemetry(SERVICE)
    orders, payments = http.Peer("orders", orders_url, telemetry), http.Peer("payments", payments_url, telemetry)
    catalog = http.Peer("catalog", catalog_url, telemetry)
    storefront = Storefront(orders, payments, catalog)
    control = Control(telemetry) if controlled else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with orders.client, payments.client, catalog.client:
            yield

    def measured(route: str, handler: http.Handler) -> http.Handler:
        return http.measured(telemetry, route, handler, control=control)

    routes = [
        Route("/customers/{customer_id}/orders", measured("/customers/{customer_id}/orders", storefront.account)),
        Route("/orders", measured("/orders", storefront.checkout), methods=["POST"]),
        Route("/products/{product_id}", measured("/products/{product_id}", storefront.product)),
        Route("/search", measured("/search", storefront.search)),
    ]
    return http.application(telemetry, routes, lifespan, control)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.storefront", description=__doc__)
    http.add_arguments(parser)
    parser.add_argument("--orders", required=True, metavar="URL")
    parser.add_argument("--payments", required=True, metavar="URL")
    parser.add_argument("--catalog", required=True, metavar="URL")
    arguments = parser.parse_args()
    app = application(arguments.orders, arguments.payments, arguments.catalog, controlled=arguments.control)
    http.serve(app, arguments.port)


if __name__ == "__main__":
    main()
