"""What a fault may ask of a running service: really to burn, wait, fail or keep its connections, for a bounded time.

The route exists only with --control, on loopback as everything of the shop. Nothing of it is in /metrics or a log:
whoever looks for the cause sees what the service does, not what it was told.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg_pool import PoolTimeout
from starlette.responses import JSONResponse, Response

from lab.shop import http

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from starlette.requests import Request

    from lab.shop.database import Pool
    from lab.shop.telemetry import Telemetry

LONGEST_S = 600.0
"""Nothing asked for lasts longer, whatever was asked."""
USUAL_S = 300.0
MOST_THREADS = 8
_HTTP_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class _Wait:
    seconds: float
    until: float


@dataclass(frozen=True, slots=True)
class _Failure:
    share: float
    until: float


class Control:
    """One service's disturbances. pools: by name, those that `leak` may take from."""

    def __init__(self, telemetry: Telemetry, pools: Mapping[str, Pool] | None = None) -> None:
        self._telemetry = telemetry
        self._pools = dict(pools or {})
        self._wait = _Wait(0.0, 0.0)
        self._failure = _Failure(0.0, 0.0)
        self._burning: threading.Event | None = None
        self._leak: asyncio.Task[None] | None = None
        self._version = telemetry.version
        self._rng = random.Random()

    async def disturb(self) -> None:
        """Before each request. Raises RefusedError(500) where a failure was asked for."""
        now = time.monotonic()
        if now < self._wait.until:
            await asyncio.sleep(self._wait.seconds)
        if now < self._failure.until and self._rng.random() < self._failure.share:
            raise http.RefusedError(500, "internal error")

    async def post(self, request: Request) -> Response:
        """{"kind": "cpu" | "latency" | "errors" | "leak" | "none", "seconds": how long it lasts, …}.

        cpu: threads. latency: wait_s. errors: share, version. leak: pool, leave (how many it may still lend).
        409 where the same kind is on already.
        """
        body = await http.json_object(request)
        until = time.monotonic() + number(body, "seconds", LONGEST_S, USUAL_S)
        match body.get("kind"):
            case "cpu":
                self._burn(int(number(body, "threads", MOST_THREADS, 1)), until)
            case "latency":
                self._free("latency", on=self._wait.until > time.monotonic())
                self._wait = _Wait(number(body, "wait_s", http.REQUEST_TIMEOUT_S, 1.0), until)
            case "errors":
                self._free("errors", on=self._failure.until > time.monotonic())
                self._failure = _Failure(number(body, "share", 1.0, 0.5), until)
                self._telemetry.release(str(body.get("version", self._version))[:64])
            case "leak":
                await self._take(body, until)
            case "none":
                await self.stop()
            case other:
                raise http.RefusedError(400, f"{other!r} is no kind of disturbance")
        return JSONResponse({"status": "ok"})

    async def stop(self) -> None:
        """Ends all that was asked for."""
        self._wait = _Wait(0.0, 0.0)
        self._failure = _Failure(0.0, 0.0)
        self._telemetry.release(self._version)
        if self._burning is not None:
            self._burning.set()
            self._burning = None
        if self._leak is not None:
            self._leak.cancel()
            await asyncio.wait([self._leak])
            self._leak = None

    @staticmethod
    def _free(kind: str, *, on: bool) -> None:
        if on:
            raise http.RefusedError(_HTTP_CONFLICT, f"{kind} is on already; undo it first")

    def _burn(self, threads: int, until: float) -> None:
        """Threads that compute in the interpreter: they take its lock from the event loop, 5 ms at a time each."""
        self._free("cpu", on=self._burning is not None and not self._burning.is_set())
        self._burning = stopped = threading.Event()

        def burn() -> None:
            while not stopped.is_set() and time.monotonic() < until:
                sum(range(2000))
            stopped.set()

        for number in range(threads):
            threading.Thread(target=burn, name=f"worker-{number}", daemon=True).start()

    async def _take(self, body: Mapping[str, object], until: float) -> None:
        self._free("leak", on=self._leak is not None and not self._leak.done())
        pool = self._pools.get(str(body.get("pool")))
        if pool is None:
            raise http.RefusedError(400, f"there is no such pool; there are: {', '.join(self._pools) or 'none'}")
        taken: list[psycopg.AsyncConnection[tuple[object, ...]]] = []
        wanted = pool.max_size - int(number(body, "leave", pool.max_size, 0))
        self._leak = asyncio.ensure_future(_keep(pool, taken, until))
        try:
            while len(taken) < wanted:
                taken.append(await pool.getconn())
        except PoolTimeout as full:
            self._leak.cancel()
            raise http.RefusedError(503, f"got {len(taken)} of {wanted} connections only") from full


async def _keep(pool: Pool, taken: list[psycopg.AsyncConnection[tuple[object, ...]]], until: float) -> None:
    """Gives back what was taken when the time is up, or when it is cancelled."""
    try:
        await asyncio.sleep(max(0.0, until - time.monotonic()))
    finally:
        for connection in taken:
            await pool.putconn(connection)


def number(body: Mapping[str, object], name: str, most: float, usual: float) -> float:
    """From 0 to `most`. Raises RefusedError(400)."""
    value = body.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise http.RefusedError(400, f"{name} must be a number, 0 or more")
    return min(float(value), most)
