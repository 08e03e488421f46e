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
from lab.shop.seed import customers_for, products_for

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

_CONTROL = "--control"
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second on the storefront: reads list a customer's orders, writes place one, browse shows products."""

    reads: float = 40.0
    writes: float = 20.0
    browse: float = 20.0

    @property
    def all(self) -> float:
        return self.reads + self.writes + self.browse


@dataclass(frozen=True, slots=True)
class Ports:
    storefront: int
    orders: int
    payments: int
    catalog: int
    billing: int
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
            "catalog": _address(self.catalog),
            "billing": _address(self.billing),
            DEFAULT_SERVICE: _address(self.exporter),
            "load": _address(self.load),
        }


class Shop:
    """Ports are chosen at once, so that Prometheus can be told of them before `start()`.

    app_dsn: the application's role on database `shop`; exporter_dsn: a role with pg_monitor there. rows: orders that
    were seeded. seed: for the same arrivals again; None: others every time.
    """

    def __init__(
        self,
        group: ProcessGroup,
        *,
        app_dsn: str,
        exporter_dsn: str,
        log_dir: Path,
        rows: int,
        rates: Rates | None = None,
        seed: int | None = None,
    ) -> None:
        self.ports = Ports.free()
        self.rates = rates or Rates()
        self._group = group
        self._app_dsn = app_dsn
        self._exporter_dsn = exporter_dsn
        self._log_dir = log_dir
        self._rows = rows
        self._seed = [] if seed is None else ["--seed", str(seed)]

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
        peers += ["--catalog", _url(ports.catalog), _CONTROL]
        shop_dsn = {"SHOP_DSN": self._app_dsn}
        with ThreadPoolExecutor() as starts:
            started = [
                starts.submit(self._run, "payments", "lab.shop.payments", ports.payments, _CONTROL, *self._seed),
                starts.submit(self._run, "orders", "lab.shop.orders", ports.orders, _CONTROL, **shop_dsn),
                starts.submit(self._run, "catalog", "lab.shop.catalog", ports.catalog, _CONTROL, **shop_dsn),
                starts.submit(self._run, "billing", "lab.shop.billing", ports.billing, _CONTROL, **shop_dsn),
                starts.submit(self._run, "storefront", "lab.shop.storefront", ports.storefront, *peers),
                starts.submit(self._run, "exporter", "lab.exporter", ports.exporter, EXPORTER_DSN=self._exporter_dsn),
            ]
        for each in started:
            each.result()

    def start_load(self) -> Child:
        load = ["--storefront", self.storefront_url, _CONTROL, *self._seed]
        load += ["--customers", str(customers_for(self._rows)), "--products", str(products_for(self._rows))]
        load += [
            "--rate",
            str(self.rates.reads),
            "--writes",
            str(self.rates.writes),
            "--browse",
            str(self.rates.browse),
        ]
        return self._run("load", "lab.load", self.ports.load, *load)

    def vary(self, rates: Rates, seed: int) -> None:
        """What the next start_load() sends."""
        self.rates, self._seed = rates, ["--seed", str(seed)]

    def stop_load(self) -> None:
        self._group.end("load")

    def stop(self) -> None:
        """The load first, callers before callees; nothing happens for what is not running."""
        for name in ("load", "exporter", "storefront", "billing", "catalog", "orders", "payments"):
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
