"""Open-loop load: arrivals keep their schedule whether or not anybody answers, as customers do.

`python -m lab.load --storefront http://127.0.0.1:8101 --port 8110 --rate 40 --writes 20`

Latency is counted from the scheduled time, so a stall is not hidden by the requests it kept from being sent
(coordinated omission, Tene 2013). Every order's commit time is kept: `/gaps?since=EPOCH[&until=EPOCH]` answers
with the longest time without a committed write.
"""

from __future__ import annotations

import argparse
import asyncio
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


class Load:
    def __init__(self, storefront: wire.Client, customers: int, rng: random.Random) -> None:
        self.commits = CommitLog()
        self.registry = CollectorRegistry()
        self._storefront = storefront
        self._customers = customers
        self._rng = rng
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

    async def _arrive(self, kind: str, rate_per_s: float, send: Callable[[], Awaitable[int]]) -> None:
        started = time.perf_counter()
        for due_s in schedule(rate_per_s, self._rng):
            due = started + due_s
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

    def application(self) -> Starlette:
        return Starlette(
            routes=[Route("/gaps", self._gaps), Route("/metrics", self._metrics), Route("/healthz", self._healthz)]
        )

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
        load = Load(storefront, arguments.customers, random.Random(arguments.seed))
        arrivals = [
            asyncio.create_task(load.reads(arguments.rate)),
            asyncio.create_task(load.writes(arguments.writes)),
        ]
        await http.server(load.application(), arguments.port).serve()
        for task in arrivals:
            task.cancel()
        await asyncio.wait(arrivals)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.load", description="Open-loop load on the shop.")
    parser.add_argument("--storefront", required=True, metavar="URL")
    parser.add_argument("--port", type=int, required=True, help="for /metrics and /gaps")
    parser.add_argument("--rate", type=float, default=40.0, help="lists of orders read a second")
    parser.add_argument("--writes", type=float, default=20.0, help="orders placed a second")
    parser.add_argument("--customers", type=int, default=200_000, help="as many as were seeded")
    parser.add_argument("--seed", type=int, default=None, help="for the same arrivals and customers again")
    arguments = parser.parse_args()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
