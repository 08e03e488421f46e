"""storefront: what the shop's customers talk to; asks orders and payments.

`python -m lab.shop.storefront --port 8101 --orders http://127.0.0.1:8102 --payments http://127.0.0.1:8103`
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "storefront"


class Storefront:
    def __init__(self, orders: http.Peer, payments: http.Peer) -> None:
        self._orders = orders
        self._payments = payments

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


def application(orders_url: str, payments_url: str) -> Starlette:
    telemetry = Telemetry(SERVICE)
    orders, payments = http.Peer("orders", orders_url, telemetry), http.Peer("payments", payments_url, telemetry)
    storefront = Storefront(orders, payments)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with orders.client, payments.client:
            yield

    account = http.measured(telemetry, "/customers/{customer_id}/orders", storefront.account)
    checkout = http.measured(telemetry, "/orders", storefront.checkout)
    return http.application(
        telemetry,
        [Route("/customers/{customer_id}/orders", account), Route("/orders", checkout, methods=["POST"])],
        lifespan,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.storefront", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--orders", required=True, metavar="URL")
    parser.add_argument("--payments", required=True, metavar="URL")
    arguments = parser.parse_args()
    http.serve(application(arguments.orders, arguments.payments), arguments.port)


if __name__ == "__main__":
    main()
