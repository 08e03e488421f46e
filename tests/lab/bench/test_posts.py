from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.alertmanager.webhook import read
from lab.bench.ingest import CAUSES, Rate, notification
from lab.bench.posts import Ask, Came, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ROOT = Path(__file__).resolve().parents[3]


class Answering:
    """Answers each post with the next status; "none" hangs up instead."""

    def __init__(self, statuses: Sequence[str]) -> None:
        self.statuses = statuses
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                status = self.statuses[(len(self.bodies) - 1) % len(self.statuses)]
                if status == "none":
                    break
                body = json.dumps({"receipt": str(len(self.bodies))}).encode()
                writer.write(b"HTTP/1.1 %s OK\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(handler: Answering) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


def came_of(statuses: Sequence[str], **asked: Any) -> tuple[Came, Answering]:
    handler = Answering(statuses)

    async def go() -> Came:
        async with served(handler) as url:
            return await run(Ask(url, {"A": "b"}, ["one", "two"], connections=3, **asked))

    return asyncio.run(go()), handler


def test_every_post_is_counted_and_every_receipt_kept() -> None:
    came, handler = came_of(["202", "503", "202"], posts=30)
    assert came.statuses == {"202": 20, "503": 10}
    assert len(came.receipts) == len(set(came.receipts)) == came.accepted == 20
    assert {body.decode() for body in handler.bodies} == {"one", "two"}


def test_a_broken_connection_is_no_accept() -> None:
    came, _ = came_of(["202", "none"], posts=20)
    assert sum(came.statuses.values()) == 20
    assert came.statuses["none"] >= 1
    assert len(came.receipts) == came.accepted


def test_a_rate_is_kept_from_above() -> None:
    came, _ = came_of(["202"], seconds=0.3, rate_per_s=100.0)
    assert 1 <= came.accepted <= 31
    assert Rate.of(came).p50_ms <= Rate.of(came).p99_ms


def test_it_runs_as_a_process_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ask = {"url": f"http://127.0.0.1:{port}/", "headers": {}, "bodies": ["x"], "connections": 1, "posts": 3}
    done = subprocess.run(
        [sys.executable, "-m", "lab.bench.posts"], check=True, input=json.dumps(ask), capture_output=True, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert json.loads(done.stdout)["statuses"] == {"none": 3}


def test_the_storm_is_what_alertmanager_would_send() -> None:
    group = read(notification(300, 100, 3 % CAUSES, 3).encode())
    assert len({alert.fingerprint for alert in group.firing}) == 100
    assert {alert.labels["service"] for alert in group.firing} == {"service-3"}
