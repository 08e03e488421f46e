"""The pages on a real port, on a store in memory or a real one, for a real browser."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from service.app import create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Message, Receive, Scope, Send

    from service.context import Context
    from tests.service.memory_store import MemoryStore

CODE = "open-sesame"
"""Of the development login."""


class Site:
    """down: every request is answered 503 and every event stream ends, as when a proxy loses the service."""

    def __init__(self, held: Context, store: MemoryStore | None = None) -> None:
        self.held = held
        self.down = False
        self._store = store
        self._app = create(held)
        # Loops of the application would need a real store; what they do here the tests do by hand.
        self._server = uvicorn.Server(
            uvicorn.Config(
                self, host="127.0.0.1", port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.held.broadcast.bind(asyncio.get_running_loop())
        if self.down and scope["type"] == "http":
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, self._until_down(receive), send)

    def _until_down(self, receive: Receive) -> Receive:
        async def receive_until_down() -> Message:
            waiting = asyncio.ensure_future(receive())
            while not self.down:
                done, _ = await asyncio.wait({waiting}, timeout=0.1)
                if done:
                    return waiting.result()
            waiting.cancel()
            return {"type": "http.disconnect"}

        return receive_until_down

    @property
    def url(self) -> str:
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def login(self, path: str = "/") -> str:
        """The address that logs in and leads to the path."""
        return f"{self.url}/enter?code={CODE}&next={path}"

    @contextmanager
    def running(self) -> Iterator[Site]:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        try:
            yield self
        finally:
            self._server.should_exit = True
            self.down = True
            self._thread.join(10)

    def show(self, told: MemoryStore) -> MemoryStore:
        """From now on the pages show this; what they remembered of anything else is forgotten."""
        assert self._store is not None
        self.down = False
        self._store.tables = told.tables
        self._store.away = False
        self.held.recent._entries.clear()
        return self._store

    def tell(self, incident: int = 1) -> None:
        """As the store does at each commit."""
        self.held.broadcast.tell(str(incident))
