"""Open-loop load: arrivals keep their schedule whether or not anybody answers, as customers do.

`python -m lab.load --storefront http://127.0.0.1:8101 --port 8110 --rate 40 --writes 20 --browse 20`

Latency is counted from the scheduled time, so a stall is not hidden by the requests it kept from being sent
(coordinated omission, Tene 2013). Every order's commit time is kept: `/gaps?since=EPOCH[&until=EPOCH]` answers
with the longest time without a committed write. Now and then more customers come for a second or two; with --control,
`POST /control` brings many more of them for longer.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import signal
import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.shop import http, wire
from lab.shop.control import LONGEST_S, number
from lab.shop.seed import PRODUCTS_PER_CATEGORY
from lab.shop.telemetry import LATENCY_BUCKETS_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

SERVICE = "load"
# More than the shop can have in flight while it keeps its own 5 s deadline at the demo's rates (60/s for 5 s).
MAX_IN_FLIGHT = 400
_ANSWER_WITHIN_S = 6.0
_KEPT_WRITES = 500_000
_CREATED = 201
MOST_FACTOR = 10.0
_LOOKS_AT_ONE = 0.5


@dataclass(frozen=True, slots=True)
class Gap:
    """longest_s is None when not a single write is known before `until`: no data is not a gap of zero."""

    since: float
    until: float
    writes: int
    longest_s: float | None


class CommitLog:
    """When writes were committed, epoch seconds, in order however late their answers came."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def committed(self, at: float) -> None:
        insort(self._times, at)
        if len(self._times) > _KEPT_WRITES:
            del self._times[: _KEPT_WRITES // 2]

    def longest_gap(self, since: float, until: float, now: float) -> Gap:
        """The longest stretch without a commit that overlaps [since, until], counted whole.

        A stretch that is still open counts up to `now`, so that writes which stopped altogether show.
        """
        first, last = bisect_left(self._times, since), bisect_right(self._times, until)
        known = self._times[max(0, first - 1) : last + 1]
        if not known:
            return Gap(since, until, 0, None)
        if last >= len(self._times):
            known = [*known, max(now, known[-1])]
        longest = max((later - earlier for earlier, later in pairwise(known)), default=None)
        return Gap(since, until, last - first, longest)


def schedule(rate_per_s: float, rng: random.Random, jitter: float = 0.5) -> Iterator[float]:
    """Seconds after the start at which requests are due: one a slot of 1/rate, moved within it by ±jitter/2 slots.

    Jittered slots, not a Poisson stream: its chance gaps (0.4 s in two minutes at 20/s) would be taken for the
    database's. Rate 0 gives no arrivals.
    """
    if rate_per_s <= 0:
        return
    for slot in count():
        yield (slot + 0.5 + jitter * (rng.random() - 0.5)) / rate_per_s


@dataclass(frozen=True, slots=True)
class Burst:
    """Seconds after the start; factor: times the usual rate."""

    begins: float
    ends: float
    factor: float


def bursts(rng: random.Random) -> Iterator[Burst]:
    """Short and mild, as every shop has them: nothing that anybody should be called for."""
    ends = 0.0
    while True:
        begins = ends + rng.uniform(20.0, 40.0)
        ends = begins + rng.uniform(1.0, 3.0)
        yield Burst(begins, ends, rng.uniform(1.15, 1.4))


class Pace:
    """How much faster than usual customers come."""

    def __init__(self, rng: random.Random) -> None:
        self._bursts = bursts(rng)
        self._burst = next(self._bursts)
        self._surge = Burst(0.0, 0.0, 1.0)

    def factor(self, at: float) -> float:
        """at: seconds after the start, never much less than it was before."""
        while at >= self._burst.ends:
            self._burst = next(self._bursts)
        inside = [one.factor for one in (self._burst, self._surge) if one.begins <= at < one.ends]
        return math.prod(inside)

    def surge(self, begins: float, ends: float, factor: float) -> None:
        self._surge = Burst(begins, ends, factor)

    def surges(self, at: float) -> bool:
        return self._surge.begins <= at < self._surge.ends


class Load:
    """products: their number; they are looked at as often one as the other."""

    def __init__(self, storefront: wire.Client, customers: int, products: int, rng: random.Random) -> None:
        self.commits = CommitLog()
        self.registry = CollectorRegistry()
        self._storefront = storefront
        self._customers = customers
        self._products = products
        self._rng = rng
        self._pace = Pace(random.Random(rng.random()))
        self._began = time.perf_counter()
        self._in_flight: set[asyncio.Task[None]] = set()
        ProcessCollector(registry=self.registry)
        self._seconds = Histogram(
            "load_request_duration_seconds",
            "Time from when a request was due to its answer.",
            ["kind"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._requests = Counter(
            "load_requests_total", "Requests sent, by outcome.", ["kind", "code"], registry=self.registry
        )
        self._dropped = Counter(
            "load_dropped_total",
            f"Requests not sent because {MAX_IN_FLIGHT} were in flight.",
            ["kind"],
            registry=self.registry,
        )
        in_flight = Gauge("load_requests_in_flight", "Requests without an answer yet.", registry=self.registry)
        in_flight.set_function(lambda: len(self._in_flight))

    async def reads(self, rate_per_s: float) -> None:
        await self._arrive("read", rate_per_s, self._read)

    async def writes(self, rate_per_s: float) -> None:
        await self._arrive("write", rate_per_s, self._write)

    async def looks(self, rate_per_s: float) -> None:
        await self._arrive("browse", rate_per_s, self._browse)

    async def _arrive(self, kind: str, rate_per_s: float, send: Callable[[], Awaitable[int]]) -> None:
        due, slot = time.perf_counter(), 0.0
        for due_s in schedule(rate_per_s, self._rng):
            due += (due_s - slot) / self._pace.factor(due - self._began)
            slot = due_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(self._in_flight) >= MAX_IN_FLIGHT:
                self._dropped.labels(kind).inc()
                continue
            task = asyncio.create_task(self._one(kind, due, send))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _one(self, kind: str, due: float, send: Callable[[], Awaitable[int]]) -> None:
        try:
            code = str(await send())
        except TimeoutError:
            code = "timeout"
        except wire.PeerGoneError:
            code = "unreachable"
        self._requests.labels(kind, code).inc()
        self._seconds.labels(kind).observe(time.perf_counter() - due)

    def _customer(self) -> int:
        """Busy customers look at their orders more often: the skew the orders themselves have."""
        return 1 + int(self._customers * self._rng.random() ** 2)

    async def _read(self) -> int:
        answer = await self._storefront.request(
            "GET", f"/customers/{self._customer()}/orders", timeout_s=_ANSWER_WITHIN_S
        )
        return answer.status

    async def _write(self) -> int:
        order = {"customer_id": self._customer(), "amount_cents": self._rng.randint(500, 20_000)}
        answer = await self._storefront.request("POST", "/orders", order, timeout_s=_ANSWER_WITHIN_S)
        if answer.status == _CREATED:
            self.commits.committed(float(answer.json()["committed_at"]))
        return answer.status

    async def _browse(self) -> int:
        """A product's page, or as often the search for its kind."""
        product = self._rng.randint(1, self._products)
        path = (
            f"/products/{product}" if self._rng.random() < _LOOKS_AT_ONE else f"/search?category_id={self._category()}"
        )
        answer = await self._storefront.request("GET", path, timeout_s=_ANSWER_WITHIN_S)
        return answer.status

    def _category(self) -> int:
        return self._rng.randint(1, max(1, self._products // PRODUCTS_PER_CATEGORY))

    def application(self, *, controlled: bool = False) -> Starlette:
        routes = [Route("/gaps", self._gaps), Route("/metrics", self._metrics), Route("/healthz", self._healthz)]
        if controlled:
            routes.append(Route("/control", http.answered(self._control), methods=["POST"]))
        return Starlette(routes=routes)

    async def _control(self, request: Request) -> Response:
        """{"kind": "surge", "factor": times as many customers, "seconds": how long} or {"kind": "none"}."""
        body = await http.json_object(request)
        now = time.perf_counter() - self._began
        match body.get("kind"):
            case "surge":
                if self._pace.surges(now):
                    raise http.RefusedError(409, "surge is on already; undo it first")
                seconds = number(body, "seconds", LONGEST_S, 60.0)
                self._pace.surge(now, now + seconds, max(1.0, number(body, "factor", MOST_FACTOR, 3.0)))
            case "none":
                self._pace.surge(0.0, 0.0, 1.0)
            case other:
                raise http.RefusedError(400, f"{other!r} is nothing the load can be told")
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _gaps(self, request: Request) -> Response:
        now = time.time()
        try:
            since = float(request.query_params["since"])
            until = float(request.query_params.get("until", now))
        except (KeyError, ValueError):
            return JSONResponse({"error": "since (and until) must be epoch seconds"}, status_code=400)
        gap = self.commits.longest_gap(since, until, now)
        return JSONResponse(
            {"since": since, "until": until, "writes": gap.writes, "longest_gap_seconds": gap.longest_s}
        )


async def run(arguments: argparse.Namespace) -> None:
    """Arrivals until the server was told to stop."""
    async with wire.Client(arguments.storefront) as storefront:
        load = Load(storefront, arguments.customers, arguments.products, random.Random(arguments.seed))
        arrivals = [
            asyncio.create_task(load.reads(arguments.rate)),
            asyncio.create_task(load.writes(arguments.writes)),
            asyncio.create_task(load.looks(arguments.browse)),
        ]
        await http.server(load.application(controlled=arguments.control), arguments.port).serve()
        for task in arrivals:
            task.cancel()
        await asyncio.wait(arrivals)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.load", description="Open-loop load on the shop.")
    parser.add_argument("--storefront", required=True, metavar="URL")
    parser.add_argument("--port", type=int, required=True, help="for /metrics and /gaps")
    parser.add_argument("--rate", type=float, default=40.0, help="lists of orders read a second")
    parser.add_argument("--writes", type=float, default=20.0, help="orders placed a second")
    parser.add_argument("--browse", type=float, default=20.0, help="products looked at a second")
    parser.add_argument("--customers", type=int, default=200_000, help="as many as were seeded")
    parser.add_argument("--products", type=int, default=100_000, help="as many as were seeded")
    parser.add_argument("--control", action="store_true", help="let whoever is on this machine raise it: POST /control")
    parser.add_argument("--seed", type=int, default=None, help="for the same arrivals and customers again")
    arguments = parser.parse_args()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
