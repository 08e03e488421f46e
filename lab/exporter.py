"""The target's exporter: PostgreSQL's own statistics under postgres_exporter's names.

`EXPORTER_DSN=… python -m lab.exporter --port 8111 --service orders-db`

Reads in autocommit with a statement timeout, so it never holds a transaction open (CREATE INDEX CONCURRENTLY
waits for those), and connects again by itself when the target was restarted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import UnknownMetricFamily
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from connectors import named_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

DEFAULT_SERVICE = "orders-db"
_SQL = named_sql.load("lab", "exporter.sql")
_LABEL = "label_"
_CONNECT_TIMEOUT_S = 2
_OPTIONS = "-c statement_timeout=2000 -c lock_timeout=500 -c default_transaction_read_only=on"


def families(prefix: str, service: str, rows: Iterable[Mapping[str, object]]) -> Iterator[Metric]:
    """One metric a value column, named prefix_column; columns label_x become the label x. No rows, no metrics.

    Untyped, as postgres_exporter's counters lack the `_total` that a counter's name must have.
    """
    made: dict[str, UnknownMetricFamily] = {}
    for row in rows:
        labels = {key.removeprefix(_LABEL): str(value) for key, value in row.items() if key.startswith(_LABEL)}
        for column, value in row.items():
            if column.startswith(_LABEL) or not isinstance(value, (int, float)):
                continue
            name = f"{prefix}_{column}"
            if name not in made:
                made[name] = UnknownMetricFamily(name, f"{column} of {prefix}.", labels=["service", *labels])
            made[name].add_metric([service, *labels.values()], float(value))
    yield from made.values()


class TargetCollector:
    """Asks the target once a scrape. What cannot be read is left out; pg_up says whether anything could."""

    def __init__(self, dsn: str, service: str) -> None:
        self._dsn = make_conninfo(
            dsn, connect_timeout=_CONNECT_TIMEOUT_S, application_name="lab-exporter", options=_OPTIONS
        )
        self._service = service
        self._lock = threading.Lock()  # the HTTP server answers each scrape in a thread of its own
        self._connection: psycopg.Connection[dict[str, object]] | None = None

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            metrics = list(self._scrape())
        yield from metrics

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _scrape(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("pg_up", "Whether the target could be asked.", labels=["service"])
        failed = GaugeMetricFamily(
            "pg_exporter_collector_failed", "Whether a group of metrics is missing.", labels=["service", "collector"]
        )
        connected = self._connected()
        for prefix, query in _SQL.items():
            rows = self._rows(connected, query) if connected is not None else None
            failed.add_metric([self._service, prefix], 1 if rows is None else 0)
            yield from families(prefix, self._service, rows or ())
        alive = connected is not None and not connected.closed
        up.add_metric([self._service], 1 if alive else 0)
        yield from (up, failed)

    def _connected(self) -> psycopg.Connection[dict[str, object]] | None:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(self._dsn, autocommit=True, row_factory=dict_row)
            except psycopg.Error as unreachable:
                self._connection = None
                print(f"exporter: {unreachable}".strip(), file=sys.stderr, flush=True)  # noqa: T201  # its log
        return self._connection

    @staticmethod
    def _rows(connection: psycopg.Connection[dict[str, object]], query: str) -> list[dict[str, object]] | None:
        """None when the target would not answer: gone, late, or an extension or a privilege missing."""
        try:
            return connection.execute(query.encode()).fetchall()
        except psycopg.Error as refused:
            print(f"exporter: {refused}".strip(), file=sys.stderr, flush=True)  # noqa: T201  # its log
            return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.exporter", description="The target's exporter.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", default=DEFAULT_SERVICE, help="value of the service label")
    parser.add_argument("--dsn-file", type=Path, help="file that holds the DSN; without it, $EXPORTER_DSN")
    arguments = parser.parse_args()
    dsn = (
        arguments.dsn_file.read_text(encoding="utf-8").strip() if arguments.dsn_file else os.environ.get("EXPORTER_DSN")
    )
    if not dsn:
        parser.error("the exporter needs --dsn-file or $EXPORTER_DSN")
    stopped = threading.Event()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: stopped.set())
    registry = CollectorRegistry()
    collector = TargetCollector(dsn, arguments.service)
    registry.register(collector)
    server, thread = start_http_server(arguments.port, "127.0.0.1", registry)
    stopped.wait()
    server.shutdown()
    thread.join()
    server.server_close()
    collector.close()


if __name__ == "__main__":
    main()
