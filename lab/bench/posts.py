"""A load generator that is not the bottleneck: prepared bytes over kept connections, in a process of its own.

Run as `python -m lab.bench.posts`, it reads one JSON line with what to do and writes one with what came of it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Ask:
    """rate_per_s None: each connection posts again as soon as it is answered. posts None: until seconds are over.

    bodies: sent in turn; signatures: the value of X-PagerDuty-Signature for each of them, empty for none.
    """

    url: str
    headers: dict[str, str]
    bodies: list[str]
    connections: int
    seconds: float | None = None
    posts: int | None = None
    rate_per_s: float | None = None
    signatures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Came:
    """Latencies in seconds. With a rate they run from when a post was due, so that waiting counts."""

    statuses: dict[str, int]
    seconds: float
    p50: float
    p99: float
    longest: float
    receipts: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.statuses.get("202", 0)


class _Connection:
    """HTTP/1.1 by hand: one request, one answer with a Content-Length."""

    def __init__(self, ask: Ask) -> None:
        parts = urlsplit(ask.url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {self._host}:{self._port}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in ask.headers.items()]
        self._head = "\r\n".join(lines).encode()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes, signature: str) -> tuple[str, bytes]:
        """Status and body; "none" when the connection broke. signature: empty for none."""
        signed = b"\r\nX-PagerDuty-Signature: " + signature.encode() if signature else b""
        try:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._writer.write(self._head + signed + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
            return head[9:12].decode(), await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, StopIteration):
            await self.close()
            return "none", b""

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def run(ask: Ask) -> Came:
    statuses: Counter[str] = Counter()
    taken: list[float] = []
    receipts: list[str] = []
    bodies = [body.encode() for body in ask.bodies]
    began = time.perf_counter()
    turn = _turns(ask, began)

    async def one() -> None:
        connection = _Connection(ask)
        while (due := turn()) is not None:
            number, at = due
            if at > time.perf_counter():
                await asyncio.sleep(at - time.perf_counter())
            sent = at if ask.rate_per_s else time.perf_counter()
            signature = ask.signatures[number % len(bodies)] if ask.signatures else ""
            status, answer = await connection.post(bodies[number % len(bodies)], signature)
            taken.append(time.perf_counter() - sent)
            statuses[status] += 1
            if status == "202" and ask.posts is not None:
                receipts.append(orjson.loads(answer)["receipt"] if answer else "")
        await connection.close()

    await asyncio.gather(*(one() for _ in range(ask.connections)))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(taken, n=100)
    return Came(dict(statuses), seconds, cuts[49], cuts[98], max(taken), receipts)


def _turns(ask: Ask, began: float) -> Callable[[], tuple[int, float] | None]:
    """The next post's number and when it is due; None when there are no more."""
    number = -1

    def turn() -> tuple[int, float] | None:
        nonlocal number
        number += 1
        at = began + number / ask.rate_per_s if ask.rate_per_s else 0.0
        over = ask.posts is not None and number >= ask.posts
        late = ask.seconds is not None and max(at, time.perf_counter()) - began >= ask.seconds
        return None if over or late else (number, at)

    return turn


def in_turns(asks: Sequence[str]) -> None:
    for line in asks:
        came = asyncio.run(run(Ask(**json.loads(line))))
        print(json.dumps(asdict(came)), flush=True)  # noqa: T201 its answer


if __name__ == "__main__":
    in_turns(sys.stdin.readlines())
