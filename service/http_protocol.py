"""HTTP on the socket, with a clock and scales: who sends slowly or without end gives the connection up.

uvicorn waits for ever for the end of a request's head and weighs no head at all: a few slow senders would hold every
connection. Bodies are bounded in size by who reads them; here only in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

HEAD_WITHIN_S = 10.0
"""From the connection, or from the first byte of a later request, to the end of its head."""
BODY_WITHIN_S = 30.0
MAX_HEAD_BYTES = 64 * 1024


class Guarded(HttpToolsProtocol):
    """One connection. Answers 408 or 431 where nothing is being answered yet, and closes."""

    head_within_s: ClassVar[float] = HEAD_WITHIN_S
    body_within_s: ClassVar[float] = BODY_WITHIN_S
    refused: ClassVar[Callable[[str, str], None]]
    """Told why, and the sender's address."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._within(self.head_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._within(self.head_within_s)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._give_up(b"431 Request Header Fields Too Large", "a head without end")

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._within(self.body_within_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._within(None)
        super().on_message_complete()

    def _within(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._give_up(b"408 Request Timeout", "the head came too slowly" if self._in_head else "the body did")

    def _give_up(self, status: bytes, why: str) -> None:
        type(self).refused(why, self.client[0] if self.client else "unknown")
        # uvicorn types it as always there; it is not before the first request.
        answering = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        if not answering or (not self._in_head and not self.cycle.response_started):
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        self.transport.close()


def guarded(refused: Callable[[str, str], None]) -> type[Guarded]:
    """For uvicorn. refused: told why a connection was given up, and the sender's address; it must not block."""
    return type("GuardedHere", (Guarded,), {"refused": staticmethod(refused)})
