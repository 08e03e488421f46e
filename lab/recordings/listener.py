"""Listens where Stanch would: alerts from Alertmanager, changes from whoever deploys. Keeps both, answers 202."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from lab.recordings.recording import Announced

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """One alert that began to fire; times are epoch seconds."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fired_at: float
    received_at: float

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


class Listener:
    """On a free loopback port while it is entered."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._alerts: list[Heard] = []
        self._changes: list[Announced] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True, name="listener").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def clear(self) -> None:
        with self._lock:
            self._alerts.clear()
            self._changes.clear()

    def first_alert(self, within_s: float) -> Heard | None:
        """The first that began to fire since clear(); None when none did in time."""
        with self._lock:
            self._lock.wait_for(lambda: self._alerts, timeout=within_s)
            return self._alerts[0] if self._alerts else None

    def alerts(self) -> tuple[Heard, ...]:
        """All that began to fire since clear(), the first of each name, in order."""
        with self._lock:
            first: dict[str, Heard] = {}
            for one in self._alerts:
                first.setdefault(one.name, one)
            return tuple(first.values())

    def changes(self) -> tuple[Announced, ...]:
        with self._lock:
            return tuple(self._changes)

    def hear(self, path: str, body: Mapping[str, Any]) -> None:
        """Raises ValueError, LookupError or TypeError for what nobody of the lab sends."""
        now = time.time()
        with self._lock:
            if path.endswith("/changes"):
                self._changes.append(Announced(body["service"], body.get("version", ""), body["summary"], now))
            else:
                self._alerts += [_heard(one, now) for one in body["alerts"] if one["status"] == "firing"]
            self._lock.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                try:
                    size = min(int(self.headers.get("Content-Length", 0)), MOST_BYTES)
                    listener.hear(self.path, json.loads(self.rfile.read(size)))
                    self.send_response(202)
                except (ValueError, LookupError, TypeError):
                    self.send_response(400)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        return Handler


def _heard(alert: Mapping[str, Any], now: float) -> Heard:
    fired = datetime.fromisoformat(alert["startsAt"]).timestamp()
    return Heard(dict(alert["labels"]), dict(alert.get("annotations", {})), fired, now)
