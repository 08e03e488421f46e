"""The running shop: which processes there are, on which ports, in which order they start."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.embedded.process import free_port, plain_environment
from connectors.embedded.prometheus import answers_ok
from lab.exporter import DEFAULT_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.embedded.process import Child, ProcessGroup

# For the cluster the shop runs on. Its 360 MB stay in memory, so that a scan costs processor time and not this
# machine's disk; used-up WAL is deleted, so that a copy of the stopped cluster carries little else.
TARGET_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "512MB",
    "max_wal_size": "512MB",
    "wal_recycle": "off",
    "track_io_timing": "on",
    "autovacuum_naptime": "30s",
}

STARTS_WITHIN_S = 120.0
"""A busy machine takes its time over imports."""

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second on the storefront: reads list a customer's orders, writes place one."""

    reads: float = 40.0
    writes: float = 20.0


@dataclass(frozen=True, slots=True)
class Ports:
    storefront: int
    orders: int
    payments: int
    exporter: int
    load: int

    @classmethod
    def free(cls) -> Ports:
        chosen: list[int] = []
        while len(chosen) < len(cls.__slots__):
            port = free_port()
            if port not in chosen:
                chosen.append(port)
        return cls(*chosen)

    def scrape_targets(self) -> dict[str, str]:
        return {
            "storefront": _address(self.storefront),
            "orders": _address(self.orders),
            "payments": _address(self.payments),
            DEFAULT_SERVICE: _address(self.exporter),
            "load": _address(self.load),
        }


class Shop:
    """Ports are chosen at once, so that Prometheus can be told of them before `start()`.

    app_dsn: the application's role on database `shop`; exporter_dsn: a role with pg_monitor there.
    """

    def __init__(
        self,
        group: ProcessGroup,
        *,
        app_dsn: str,
        exporter_dsn: str,
        log_dir: Path,
        customers: int,
        rates: Rates | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.ports = ports or Ports.free()
        self.rates = rates or Rates()
        self._group = group
        self._app_dsn = app_dsn
        self._exporter_dsn = exporter_dsn
        self._log_dir = log_dir
        self._customers = customers

    @property
    def storefront_url(self) -> str:
        return _url(self.ports.storefront)

    @property
    def load_url(self) -> str:
        """Of /gaps?since=EPOCH[&until=EPOCH] and the load's own /metrics."""
        return _url(self.ports.load)

    def control(self, service: str) -> str:
        """Of a process's /control. Raises ValueError for a name that is no process of the shop."""
        address = self.ports.scrape_targets().get(service)
        if address is None or service == DEFAULT_SERVICE:
            raise ValueError(f"{service!r} has no control route")
        return f"http://{address}/control"

    def scrape_targets(self) -> dict[str, str]:
        """Service → host:port, for monitoring.scrape_configs."""
        return self.ports.scrape_targets()

    def start(self) -> None:
        """Everything but the load, side by side. Raises ServerFailed; what did start is the group's to end."""
        ports = self.ports
        peers = ["--orders", _url(ports.orders), "--payments", _url(ports.payments)]
        with ThreadPoolExecutor() as starts:
            started = [
                starts.submit(self._run, "payments", "lab.shop.payments", ports.payments),
                starts.submit(self._run, "orders", "lab.shop.orders", ports.orders, SHOP_DSN=self._app_dsn),
                starts.submit(self._run, "storefront", "lab.shop.storefront", ports.storefront, *peers),
                starts.submit(self._run, "exporter", "lab.exporter", ports.exporter, EXPORTER_DSN=self._exporter_dsn),
            ]
        for each in started:
            each.result()

    def start_load(self) -> Child:
        load = ["--storefront", self.storefront_url, "--customers", str(self._customers)]
        load += ["--rate", str(self.rates.reads), "--writes", str(self.rates.writes)]
        return self._run("load", "lab.load", self.ports.load, *load)

    def stop_load(self) -> None:
        self._group.end("load")

    def stop(self) -> None:
        """The load first, callers before callees; nothing happens for what is not running."""
        for name in ("load", "exporter", "storefront", "orders", "payments"):
            self._group.end(name)

    def _run(self, name: str, module: str, port: int, *arguments: str, **env: str) -> Child:
        argv: Sequence[str] = [sys.executable, "-m", module, "--port", str(port), *arguments]
        return self._group.start(
            name,
            argv,
            log_path=self._log_dir / f"{name}.log",
            ready=lambda: answers_ok(_url(port) + "/metrics"),
            env=plain_environment(PYTHONUNBUFFERED="1", **env),
            cwd=_ROOT,
            port=port,
            timeout_s=STARTS_WITHIN_S,
        )


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


def _url(port: int) -> str:
    return f"http://{_address(port)}"
