"""The simulated production with Stanch beside it: target, shop, load, Prometheus, Alertmanager, and the stack."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
import psycopg

from connectors.embedded.alertmanager import EmbeddedAlertmanager, Webhook
from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup, ServerFailed
from connectors.embedded.prometheus import EmbeddedPrometheus
from guardrails.fence import DEFAULT_ACTIONS, Fence
from lab import monitoring
from lab.running import MAX_SIDE_BY_SIDE, Running, candidates, places
from lab.shop import seed
from lab.stack import PERSON, ROOT, Stack, private
from lab.topology import TARGET_SETTINGS, Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from lab.faults import Fault

TARGET = monitoring.TARGET_SERVICE
FENCE = Fence(
    database=seed.DATABASE, owners=(seed.OWNER_ROLE,), actions=DEFAULT_ACTIONS | frozenset({"set_role_setting"})
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the shop is, and what Stanch may do. seed: for the same load again; None: another every time."""

    rows: int = seed.DEMO_ROWS
    policy: tuple[tuple[str, Any], ...] = ()
    seed: int | None = None


class Production:
    """Everything of one lab, in one folder; leave it as a context manager and nothing is left running.

    progress: one line a thing that happens. with_stanch: False leaves its store, broker and processes out; whoever asks
    for that listens on `port` in their place. Raises ServerFailed from start().
    """

    def __init__(
        self,
        place: Path,
        *,
        cache: Path,
        scale: Scale,
        progress: Callable[[str], None],
        port: int | None = None,
        with_stanch: bool = True,
    ) -> None:
        self.place = place
        self.scale = scale
        self._with_stanch = with_stanch
        self._progress = progress
        self._cache = cache
        self.group = ProcessGroup(place / "run", progress)
        self.stack = Stack(self.group, place, progress=progress, port=port)
        self.target = self._cluster("target", place / "target")
        self.passwords = {
            role: secrets.token_urlsafe(18)
            for role in (seed.APP_ROLE, seed.EXPORTER_ROLE, FENCE.diagnose, FENCE.fix, FENCE.signal, FENCE.server)
        }
        self._since = time.time()
        self._shop: Shop | None = None
        self._prometheus: EmbeddedPrometheus | None = None
        self._alertmanager: EmbeddedAlertmanager | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.group.end_all()
        self.stack.store.remove()
        self.target.remove()

    # --- Parts ---------------------------------------------------------------------------------------------------

    @property
    def shop(self) -> Shop:
        if self._shop is None:
            raise ServerFailed("shop", "is not started")
        return self._shop

    @property
    def prometheus(self) -> EmbeddedPrometheus:
        if self._prometheus is None:
            raise ServerFailed("Prometheus", "is not started")
        return self._prometheus

    @property
    def alertmanager(self) -> EmbeddedAlertmanager:
        if self._alertmanager is None:
            raise ServerFailed("Alertmanager", "is not started")
        return self._alertmanager

    @property
    def admin_dsn(self) -> str:
        return self.target.dsn(database=seed.DATABASE)

    @property
    def app_dsn(self) -> str:
        return self.target_dsn(seed.APP_ROLE)

    def control(self, service: str) -> str:
        return self.shop.control(service)

    def target_dsn(self, role: str) -> str:
        return self.target.dsn(role, self.passwords[role], seed.DATABASE)

    def _cluster(self, name: str, place: Path) -> EmbeddedPostgres:
        return EmbeddedPostgres(
            self.group,
            name,
            place,
            log_path=self.place / "logs" / f"{name}.log",
            progress=self._progress,
            settings={**TARGET_SETTINGS, "log_statement": "ddl", "log_line_prefix": "%m [%p] %u@%d %a "},
        )

    # --- Start ---------------------------------------------------------------------------------------------------

    def seed(self, progress: Callable[[str, float], None]) -> bool:
        """Makes the cached cluster unless it is there; True when it had to. Minutes the first time, then nothing.

        Two labs at once wait for each other: the second finds what the first made.
        """
        self._cache.mkdir(parents=True, exist_ok=True)
        with (self._cache / f"target-{self.scale.rows}.lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._seed(progress)

    def _seed(self, progress: Callable[[str, float], None]) -> bool:
        cached = self._cached()
        fingerprint = self._fingerprint()
        if cached.is_complete(fingerprint):
            return False
        cached.remove()
        cached.start()
        seed.seed(cached.dsn(), self.scale.rows, progress)
        with psycopg.connect(cached.dsn(database=seed.DATABASE), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        cached.stop()
        cached.mark_complete(fingerprint)
        return True

    def _cached(self) -> EmbeddedPostgres:
        return self._cluster("target-cache", self._cache / f"target-{self.scale.rows}")

    def _fingerprint(self) -> str:
        """Changes when what would be seeded changes."""
        texts = [path.read_bytes() for path in sorted((ROOT / "lab" / "shop").glob("s*.*")) if path.suffix != ".pyc"]
        return hashlib.sha256(b"".join([str(self.scale.rows).encode(), *texts])).hexdigest()

    def start_servers(self) -> None:
        """Store, broker and target side by side."""
        with ThreadPoolExecutor() as starts:
            waits = [starts.submit(self._start_target)]
            if self._with_stanch:
                waits += [starts.submit(self.stack.start_store), starts.submit(self.stack.broker.start)]
            for each in waits:
                each.result()

    def _start_target(self) -> None:
        self.target.copy_from(self._cached())
        self.target.start()
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(FENCE.sql().encode())
            # pg_monitor alone may not EXPLAIN: the planner's answer needs SELECT on the tables of the query.
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {FENCE.diagnose}".encode())
        for role, password in self.passwords.items():
            seed.set_password(self.target.dsn(), role, password)

    def start_shop(self) -> None:
        """The shop, what watches it, and Stanch."""
        self._shop = Shop(
            self.group,
            app_dsn=self.app_dsn,
            exporter_dsn=self.target_dsn(seed.EXPORTER_ROLE),
            log_dir=self.place / "logs",
            rows=self.scale.rows,
            seed=self.scale.seed,
        )
        self._alertmanager = EmbeddedAlertmanager(
            self.group,
            "alertmanager",
            self._fresh("alertmanager"),
            log_path=self.place / "logs" / "alertmanager.log",
            cache_dir=self._cache,
            progress=self._progress,
            webhook=Webhook(self.stack.hook_url, self.stack.secrets.alertmanager),
            route=monitoring.alertmanager_route(),
        )
        self._prometheus = EmbeddedPrometheus(
            self.group,
            "prometheus",
            self._fresh("prometheus"),
            log_path=self.place / "logs" / "prometheus.log",
            cache_dir=self._cache,
            progress=self._progress,
            scrape_configs=monitoring.scrape_configs(self._shop.scrape_targets()),
            rule_groups=self.rule_groups(),
            alertmanagers=[self._alertmanager.address],
            global_config=monitoring.global_config(),
        )
        self.stack.configure(self.configuration(), prometheus_url=self._prometheus.url)
        with ThreadPoolExecutor() as starts:
            waits = [
                starts.submit(self._alertmanager.start),
                starts.submit(self._prometheus.start),
                starts.submit(self._shop.start),
            ]
            if self._with_stanch:
                waits.append(starts.submit(self.stack.start_processes))
            for each in waits:
                each.result()
        self._shop.start_load()
        self._since = time.time()

    def _fresh(self, name: str) -> Path:
        place = self.place / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def rule_groups(self) -> list[dict[str, Any]]:
        """What Prometheus alerts on."""
        return monitoring.rule_groups()

    def configuration(self) -> dict[str, Any]:
        """stanch.yaml of the lab. DSNs lie in files that only their process is told of."""
        files = {
            name: str(private(self.place / "dsn" / role, self.target_dsn(role)).resolve())
            for name, role in (
                ("diagnose_dsn_file", FENCE.diagnose),
                ("fix_dsn_file", FENCE.fix),
                ("signal_dsn_file", FENCE.signal),
                ("admin_dsn_file", FENCE.server),
            )
        }
        return {
            "targets": {
                TARGET: {**files, "mode": "act", "environment": "demo", "selector": monitoring.target_labels()}
            },
            "approvers": [PERSON],
            "policy": dict(self.scale.policy),
            **monitoring.stanch_sections(),
        }

    # --- Run -----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> Running:
        """Where its parts answer, for another process or for a fault."""
        processes = [name for name in self.shop.scrape_targets() if name != TARGET]
        return Running(
            place=str(self.place.resolve()),
            pid=os.getpid(),
            since=self._since,
            rows=self.scale.rows,
            seed=self.scale.seed,
            url=self.stack.url,
            login_url=self.stack.login_url,
            data_path=str(self.stack.data_dir.resolve()),
            api_token=self.stack.secrets.api_token,
            hook_token=self.stack.secrets.alertmanager,
            prometheus_url=self.prometheus.url,
            load_url=self.shop.load_url,
            admin_dsn=self.admin_dsn,
            app_dsn=self.app_dsn,
            controls={name: self.shop.control(name) for name in processes},
        )

    @property
    def data_dir(self) -> Path:
        return self.stack.data_dir

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def prometheus_url(self) -> str:
        return self.prometheus.url

    def inject(self, fault: Fault) -> float:
        """Breaks the shop and announces the deploy that did it; when, in epoch seconds. Raises CannotInjectError."""
        self.stack.wait_until_ready()
        return self.running.inject(fault)

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        self.running.post_change(service=service, version=version, summary=summary)

    def api(self) -> httpx.Client:
        """As the demo's person."""
        return self.running.api()

    def mend(self, say: Callable[[str], None]) -> None:
        """Starts again what died of Stanch's; raises ServerFailed for what died of the shop's."""
        self.stack.mend(say)

    def alerts(self) -> dict[str, str]:
        """Name → `pending` or `firing`."""
        return self.running.alerts()

    def p99_seconds(self) -> float | None:
        """Of the storefront, now; None without requests."""
        return self.running.p99_seconds()

    def gap_seconds(self, since: float, until: float | None = None) -> float | None:
        """Longest time between two committed writes."""
        return self.running.gap_seconds(since, until)

    def ddl_log(self) -> list[str]:
        """Every data-definition statement that the target itself logged."""
        text = (self.place / "logs" / "target.log").read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines() if "statement:" in line or "execute" in line]


def free_place(base: Path) -> Path:
    """`base`, or base-2, base-3 … when another lab runs there."""
    taken = {place.path for place in places(base) if place.owner is not None}
    for place in candidates(base):
        if place not in taken:
            return place
    raise ServerFailed("lab", f"{MAX_SIDE_BY_SIDE} labs run under {base.parent} already; stop one")


def follow(api: httpx.Client, key: str, every_s: float = 0.3) -> Iterator[Mapping[str, Any]]:
    """The incident again and again; skips a turn while the API is away."""
    while True:
        try:
            answer = api.get(f"/api/v1/incidents/{key}")
        except httpx.HTTPError:
            time.sleep(every_s)
            continue
        if answer.status_code == httpx.codes.OK:
            yield answer.json()
        time.sleep(every_s)
