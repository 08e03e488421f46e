"""Raw sockets against a real server: what no client library would send."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import uvicorn

from service.app import server_config
from service.http_protocol import MAX_HEAD_BYTES, Guarded, guarded
from tests.service.app_world import app_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from tests.connectors.store.database import Database

LIMIT_S = 0.4
PATIENCE_S = 20.0
HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, then answers with how long it was; /slow answers only after the head's time is over."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * LIMIT_S)
    body = b"%d" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Served:
    """The guard with short limits, in front of the application."""

    def __init__(self) -> None:
        self.refused: list[tuple[str, str]] = []
        protocol = guarded(lambda why, sender: self.refused.append((why, sender)))
        quick: type[Guarded] = type("Quick", (protocol,), {"head_within_s": LIMIT_S, "body_within_s": LIMIT_S})
        config = uvicorn.Config(application, http=quick, log_level="critical", lifespan="off", timeout_keep_alive=60)
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=lambda: self._server.run([self._socket]), daemon=True)
        self._thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self._socket.getsockname(), timeout=PATIENCE_S)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.stop()


def until_closed(connection: socket.socket) -> bytes:
    """Everything that came. A server that keeps the connection makes this raise TimeoutError."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answer(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\r\n\r\n4"):
        part = connection.recv(65536)
        assert part, f"closed after {found!r}"
        found += part
    return found


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"P", b"POST /x HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_head_that_does_not_end_gives_the_connection_up(served: Served, sent: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(sent)
        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")
    assert ("the head came too slowly", "127.0.0.1") in served.refused


def test_a_byte_now_and_then_buys_no_time(served: Served) -> None:
    with served.connect() as connection:
        dripping = threading.Event()

        def drip() -> None:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            while not dripping.wait(LIMIT_S / 8):
                try:
                    connection.sendall(b"X-A: b\r\n")
                except OSError:
                    return

        sender = threading.Thread(target=drip)
        sender.start()
        try:
            assert until_closed(connection).startswith(b"HTTP/1.1 408 ")
        except ConnectionResetError:
            pass  # what was on its way met a closed socket
        finally:
            dripping.set()
            sender.join(PATIENCE_S)
    assert not sender.is_alive()


def test_a_body_that_does_not_end_gives_the_connection_up(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD + b"12")
        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")
    assert ("the body did", "127.0.0.1") in served.refused


@pytest.mark.parametrize("between", [b"", b"\r\n", b"POST /x HT"])
def test_a_later_request_of_a_connection_has_no_more_time_than_the_first(served: Served, between: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD + b"1234")
        assert answer(connection).startswith(ANSWER)
        connection.sendall(between or b"\r")
        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")


def test_a_head_without_end_is_refused_by_its_weight(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        found = b""
        try:
            for _ in range(4 * MAX_HEAD_BYTES // 1024):
                connection.sendall(b"a" * 1024)
            found = until_closed(connection)
        except (ConnectionResetError, BrokenPipeError):
            pass  # refused while it was still sending
        assert found[:13] in {b"", b"HTTP/1.1 431 "}
    assert any(why == "a head without end" for why, _ in served.refused)


def test_requests_in_time_are_answered_one_after_another_and_pipelined(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(HEAD)
            connection.sendall(b"1234")
            assert answer(connection).startswith(ANSWER)
        connection.sendall((HEAD + b"1234") * 3)
        found = b""
        while found.count(ANSWER) < 3:
            found += answer(connection)
        assert found.count(b"200 OK") == 3


def test_an_answer_may_take_longer_than_a_request(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD.replace(b"/x", b"/slow") + b"1234")
        assert answer(connection).startswith(ANSWER)


@pytest.mark.integration
def test_the_service_is_served_through_the_guard_and_counts_what_it_refuses(database: Database, tmp_path: Path) -> None:
    app = app_on(database, tmp_path)
    config = server_config(app.app, app.held.settings)
    config.load()
    assert issubclass(config.http_protocol_class, Guarded)
    config.http_protocol_class.refused("the head came too slowly", "192.0.2.7")
    assert app.held.doors.refusals.flush(app.held.ports.store) == 1
    rows = database.run(
        "SELECT data ->> 'hook', data ->> 'note' FROM stanch.audit WHERE data ->> 'sender' = '192.0.2.7'"
    )
    assert rows == [("connection", "the head came too slowly")]
    app.close()
