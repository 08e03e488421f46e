"""The door's way into the store: deliveries that come at the same time share one statement and one commit.

A commit costs what a disk costs; shared, it costs each delivery a part. Nobody is answered before the commit that
holds his bytes. One thread writes, on a connection of its own, so that nothing else in the process can hold it up.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from connectors.store.migrate import away
from connectors.store.store import QUERIES, STATEMENT_TIMEOUT_MS, dumps
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_WAITING = 2_000
MOST_WAITING_BYTES = 64 * 1024 * 1024
SHARE = 0.5
"""Of the waiting room for one source: a storm from one must leave a place for the others."""
MOST_TOGETHER = 64
MOST_BYTES_TOGETHER = 1024 * 1024
"""What shares a commit shares an intake step too, which should not take long."""
BUSY = 4
GATHER_S = 0.004
"""After more than BUSY deliveries at once, the next ones are given this long to gather: fewer, larger commits."""
CONNECT_TIMEOUT_S = 3
ANSWER_WITHIN_S = 4.0
"""PagerDuty hangs up after 5 s. A delivery that is stored later than this is sent again and found to be there."""
IDLE_S = 30.0


class Full(Exception):
    """More is waiting than will be written in time; the sender is asked to come again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body as it came. event_key: the sender's signed name of the event; delivery_key: its unsigned one; None:
    it has none, and a repetition is told apart later, by what it says.
    """

    source: str
    headers: Mapping[str, str]
    body: bytes
    event_key: str | None = None
    delivery_key: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """again: an earlier delivery of the same event is there, and this is its receipt."""

    id: uuid.UUID
    again: bool = False


_RANDOM = random.Random()  # noqa: S311 nothing is guarded by it
"""Of its own: whoever seeds the shared one would make the same receipts twice."""


def _receipt() -> uuid.UUID:
    """A name and no secret: the system's own randomness takes longer than the rest of a delivery's way through here."""
    return uuid.UUID(int=_RANDOM.getrandbits(128), version=4)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    delivery: Delivery
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Receipt]
    receipt: uuid.UUID = field(default_factory=_receipt)


class Inbox:
    """Takes deliveries from any event loop. Its thread and connection begin with the first one."""

    def __init__(self, dsn: str, *, application_name: str, most_waiting: int = MOST_WAITING) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._queue: deque[_Waiting] = deque()
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._connection: psycopg.Connection[Any] | None = None
        self._thread: threading.Thread | None = None

    async def take(self, delivery: Delivery) -> Receipt:
        """Returns after the commit. Raises Full, and Unreachable when it is not stored, or not known to be."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(delivery, loop, loop.create_future())
        self._put(waiting)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await waiting.answer
        except TimeoutError as error:
            raise Unreachable("store", f"not stored within {ANSWER_WITHIN_S:.0f} s") from error

    def close(self) -> None:
        """Ends the thread once what waits is written. A delivery after it starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
        self._some.set()
        if thread is not None:
            thread.join(timeout=CONNECT_TIMEOUT_S + 1)

    def _put(self, waiting: _Waiting) -> None:
        source, size = waiting.delivery.source, len(waiting.delivery.body)
        with self._lock:
            mine = self._counts.get(source, 0)
            full = len(self._queue) >= self._most_waiting or self._bytes + size > MOST_WAITING_BYTES
            if full or mine >= self._most_waiting * SHARE:
                raise Full(f"{len(self._queue)} deliveries wait to be stored, {mine} of them from {source}")
            self._queue.append(waiting)
            self._counts[source] = mine + 1
            self._bytes += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="inbox", daemon=True)
                self._thread.start()
        self._some.set()

    def _next(self) -> list[_Waiting]:
        with self._lock:
            batch: list[_Waiting] = []
            size = 0
            while self._queue and len(batch) < MOST_TOGETHER and size < MOST_BYTES_TOGETHER:
                one = self._queue.popleft()
                batch.append(one)
                size += len(one.delivery.body)
                self._counts[one.delivery.source] -= 1
            self._bytes -= size
            if not self._queue:
                self._some.clear()
        # Whoever was told "not in time" sends it again: writing it twice would only make the others later.
        return [one for one in batch if not one.answer.done()]

    def _write(self) -> None:
        me = threading.current_thread()
        while True:
            batch = self._next()
            if batch:
                _answer(batch, self._store_all(batch))
                if len(batch) > BUSY:
                    time.sleep(GATHER_S)
            with self._lock:
                if self._queue:
                    continue
                if self._thread is not me:
                    break
            if not self._some.wait(IDLE_S):
                self._disconnect()
        self._disconnect()

    def _store_all(self, batch: Sequence[_Waiting]) -> Sequence[Receipt | Unreachable]:
        """What became of each. A row the store refuses is tried alone, so that it takes nobody with it."""
        try:
            return self._store(batch)
        except psycopg.Error as error:
            if len(batch) > 1 and not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
                return [self._store_all([one])[0] for one in batch]
            return [away(error)] * len(batch)

    def _store(self, batch: Sequence[_Waiting]) -> list[Receipt | Unreachable]:
        """A connection that broke since it was last used is made anew, once."""
        fresh = self._connection is None
        try:
            return self._run(self._connected(), batch)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._disconnect()
            if fresh:
                raise
        try:
            return self._run(self._connected(), batch)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._disconnect()
            raise

    def _run(self, connection: psycopg.Connection[Any], batch: Sequence[_Waiting]) -> list[Receipt | Unreachable]:
        given = [one.delivery for one in batch]
        cursor = connection.execute(
            _ACCEPT,
            {
                "receipts": [one.receipt for one in batch],
                "sources": [one.source for one in given],
                "headers": [dumps(dict(one.headers)) for one in given],
                "bodies": [one.body for one in given],
                "event_keys": [one.event_key for one in given],
                "delivery_keys": [one.delivery_key for one in given],
            },
            prepare=True,
        )
        new = {receipt for (receipt,) in cursor.fetchall()}
        return [
            Receipt(one.receipt) if one.receipt in new else self._earlier(connection, one.delivery) for one in batch
        ]

    def _earlier(self, connection: psycopg.Connection[Any], delivery: Delivery) -> Receipt | Unreachable:
        keys = {
            "source": delivery.source,
            "event_key": delivery.event_key,
            "delivery_key": delivery.delivery_key,
        }
        row = connection.execute(_DELIVERED, keys).fetchone()
        # Its own transaction may have been undone between the two statements.
        return Receipt(row[0], again=True) if row else Unreachable("store", "an earlier delivery came and went")

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name=f"{self._application_name} inbox",
                options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            )
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_ACCEPT = QUERIES["accept"].encode()
_DELIVERED = QUERIES["delivered"].encode()


def _answer(batch: Sequence[_Waiting], results: Sequence[Receipt | Unreachable]) -> None:
    """Each event loop is woken once, however many of its requests are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Receipt | Unreachable]]] = {}
    for one, result in zip(batch, results, strict=True):
        by_loop.setdefault(one.loop, []).append((one, result))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            continue


def _settle(answers: Sequence[tuple[_Waiting, Receipt | Unreachable]]) -> None:
    for one, result in answers:
        if one.answer.done():
            continue
        if isinstance(result, Unreachable):
            one.answer.set_exception(result)
        else:
            one.answer.set_result(result)
