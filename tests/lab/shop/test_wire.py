"""The client between the lab's processes, against a server of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lab.shop import wire

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n" + b'{"a": true}'
_Exchange = Callable[[wire.Client], Awaitable[object]]


def _with_server(answers: list[bytes], exchange: _Exchange) -> tuple[object, int]:
    """Run the exchange against a server that gives these answers in turn; its result and the connections made.

    An empty answer closes the connection without a word.
    """
    made = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        try:
            while answers and await reader.readuntil(b"\r\n\r\n"):
                answer = answers.pop(0)
                if not answer:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def run() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, wire.Client(f"http://127.0.0.1:{port}") as client:
            return await exchange(client)

    return asyncio.run(run()), made


async def _one(client: wire.Client) -> object:
    answer = await client.request("GET", "/", timeout_s=5)
    return answer.status, answer.json()


async def _two(client: wire.Client) -> object:
    return [await _one(client), await _one(client)]


async def _error(client: wire.Client) -> object:
    with pytest.raises(wire.PeerGoneError) as caught:
        await _one(client)
    return str(caught.value)


def test_an_answer_has_its_status_and_its_json() -> None:
    assert _with_server([_OK], _one)[0] == (200, {"a": True})


def test_a_connection_is_used_again() -> None:
    results, connections = _with_server([_OK, _OK], _two)

    assert results == [(200, {"a": True})] * 2
    assert connections == 1


def test_a_connection_the_server_closes_is_not_used_again() -> None:
    closing = _OK.replace(b"content-length", b"connection: close\r\ncontent-length")

    results, connections = _with_server([closing, _OK], _two)

    assert results == [(200, {"a": True})] * 2
    assert connections == 2


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n", _OK[:-1] + b"!"],
    ids=["no answer", "no length", "another protocol", "not JSON"],
)
def test_what_is_not_an_answer_is_a_peer_that_is_gone(answer: bytes) -> None:
    said, _ = _with_server([answer], _error)

    assert said


def test_a_late_answer_is_a_timeout_and_does_not_reach_the_next_call() -> None:
    async def late_then_fresh(client: wire.Client) -> object:
        with pytest.raises(TimeoutError):
            await client.request("GET", "/", timeout_s=0.05)
        return await _one(client)

    half = b"HTTP/1.1 500 Late\r\n"
    result, connections = _with_server([half, _OK], late_then_fresh)

    assert result == (200, {"a": True})
    assert connections == 2


def test_a_peer_that_is_not_there_is_gone() -> None:
    async def ask() -> None:
        with pytest.raises(wire.PeerGoneError):
            await wire.Client("http://127.0.0.1:1").request("GET", "/", timeout_s=5)

    asyncio.run(ask())


def test_an_address_that_is_not_http_host_port_is_refused() -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        wire.Client("https://shop.example")
