"""What every process of the shop measures about itself, under the names a Prometheus user expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

# Fine round the demo's alert threshold of 0.5 s and readable from 5 ms to 5 s: a p99 read off a histogram is
# interpolated inside one bucket, so an edge lies on every value somebody compares with.
LATENCY_BUCKETS_S = (
    *(0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35),
    *(0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5),
)


FIRST_VERSION = 880
"""Of every service, until a deploy."""


class Telemetry:
    """The metrics of one service, in a registry of its own (never the client's global one)."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._build_info = Gauge("build_info", "The version that runs.", ["service", "version"], registry=self.registry)
        self.version = ""
        self.release(f"{service}-{FIRST_VERSION}")
        self._server_seconds = Histogram(
            "http_server_request_duration_seconds",
            "Time from a request's arrival to its answer.",
            ["service", "route"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._server_requests = Counter(
            "http_server_requests_total",
            "Requests answered.",
            ["service", "route", "method", "code"],
            registry=self.registry,
        )
        self._client_seconds = Histogram(
            "http_client_request_duration_seconds",
            "Time from a call to a peer to its answer, or to giving up.",
            ["service", "peer"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._client_requests = Counter(
            "http_client_requests_total",
            "Calls to a peer; code is the answer's status, or `timeout` or `unreachable`.",
            ["service", "peer", "code"],
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "http_server_requests_in_flight", "Requests being worked on.", ["service"], registry=self.registry
        )

    def release(self, version: str) -> None:
        """The version that runs from now on."""
        self._build_info.clear()
        self._build_info.labels(self.service, version).set(1)
        self.version = version

    def started(self) -> None:
        self._in_flight.labels(self.service).inc()

    def answered(self, route: str, method: str, code: int, seconds: float) -> None:
        self._in_flight.labels(self.service).dec()
        self._server_seconds.labels(self.service, route).observe(seconds)
        self._server_requests.labels(self.service, route, method, str(code)).inc()

    def called(self, peer: str, code: str, seconds: float) -> None:
        self._client_seconds.labels(self.service, peer).observe(seconds)
        self._client_requests.labels(self.service, peer, code).inc()

    async def expose(self, _request: Request) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
