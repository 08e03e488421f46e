"""payments: authorises amounts and lists a customer's methods; light, and with no database of its own.

`python -m lab.shop.payments --port 8103`
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http
from lab.shop.control import Control
from lab.shop.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

SERVICE = "payments"
_LARGEST_CENTS = 10_000_00
# What a card network's answer costs, and how many it takes at a time: about 48 a second, twice what the shop needs.
_NETWORK_S = (0.016, 0.024)
_NETWORK_SESSIONS = 1


class Payments:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._authorised = 0
        self._network = asyncio.Semaphore(_NETWORK_SESSIONS)

    async def authorise(self, request: Request) -> Response:
        body = await http.json_object(request)
        customer_id, amount = http.body_int(body, "customer_id"), http.body_int(body, "amount_cents")
        async with self._network:
            await asyncio.sleep(self._rng.uniform(*_NETWORK_S))
        if amount > _LARGEST_CENTS:
            raise http.RefusedError(402, f"{amount} cents is over the limit of {_LARGEST_CENTS}")
        self._authorised += 1
        return JSONResponse({"reference": f"auth_{customer_id}_{self._authorised}"}, status_code=201)

    async def methods(self, request: Request) -> Response:
        customer_id = http.path_int(request, "customer_id")
        kinds = ("card", "invoice", "direct_debit")
        return JSONResponse({"customer_id": customer_id, "methods": kinds[: 1 + customer_id % 3]})


def application(seed: int | None = None, *, controlled: bool = False) -> Starlette:
    telemetry = Telemetry(SERVICE)
    payments = Payments(random.Random(seed))
    control = Control(telemetry) if controlled else None
    authorise = http.measured(telemetry, "/authorisations", payments.authorise, control=control)
    methods = http.measured(telemetry, "/customers/{customer_id}/methods", payments.methods, control=control)
    return http.application(
        telemetry,
        [
            Route("/authorisations", authorise, methods=["POST"]),
            Route("/customers/{customer_id}/methods", methods),
        ],
        control=control,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.shop.payments", description=__doc__)
    http.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=None, help="for the same times of the card network again")
    arguments = parser.parse_args()
    http.serve(application(arguments.seed, controlled=arguments.control), arguments.port)


if __name__ == "__main__":
    main()
