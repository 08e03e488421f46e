"""A lab that is up: where its parts answer and what may be asked of them, for whoever comes later."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from connectors.embedded import keeper
from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup, ServerFailed
from lab import monitoring
from lab.stack import private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.faults import Fault

FILE = "lab.json"
MAX_SIDE_BY_SIDE = 9
CLUSTERS = ("store", "target")
ENDS_WITHIN_S = 120.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Running:
    """Also the surroundings of a fault. since: when everything was up, epoch seconds. controls: by process, URLs."""

    place: str
    pid: int
    since: float
    rows: int
    seed: int | None
    url: str
    login_url: str
    data_path: str
    api_token: str
    hook_token: str
    prometheus_url: str
    load_url: str
    admin_dsn: str
    app_dsn: str
    controls: Mapping[str, str]

    @property
    def data_dir(self) -> Path:
        """Of Stanch: its postmortems are there."""
        return Path(self.data_path)

    def save(self) -> None:
        """For its owner alone: it holds the lab's secrets."""
        private(Path(self.place) / FILE, json.dumps(asdict(self)))

    def control(self, service: str) -> str:
        """Raises ValueError for a name that is no process of the shop."""
        try:
            return self.controls[service]
        except KeyError:
            raise ValueError(f"{service!r} has no control route") from None

    def inject(self, fault: Fault) -> float:
        """Breaks the shop and announces the deploy that did it; when, in epoch seconds. Raises CannotInjectError."""
        at = fault.inject(self)
        if fault.change is not None:
            change = fault.change
            self.post_change(service=change.service, version=change.version, summary=change.summary)
        return at

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        answer = httpx.post(
            f"{self.url}/webhooks/changes",
            json={"service": service, "version": version, "summary": summary},
            headers={"Authorization": f"Bearer {self.hook_token}"},
            trust_env=False,
        )
        answer.raise_for_status()

    def api(self) -> httpx.Client:
        """As the demo's person."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_token}"},
            timeout=10.0,
            trust_env=False,
        )

    def mend(self, _say: Callable[[str], None]) -> None:
        """Whoever started it does that."""

    def alerts(self) -> dict[str, str]:
        """Name → `pending` or `firing`, of what Prometheus tells now."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/alerts", trust_env=False).json()
        return {one["labels"]["alertname"]: one["state"] for one in answer["data"]["alerts"]}

    def p99_seconds(self) -> float | None:
        """Of the storefront, now; None without requests."""
        query = monitoring.ALERT_EXPRESSION.rpartition(" > ")[0]
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": query}, trust_env=False).json()
        found = answer["data"]["result"]
        value = float(found[0]["value"][1]) if found else float("nan")
        return value if value == value else None  # noqa: PLR0124 NaN

    def gap_seconds(self, since: float, until: float | None = None) -> float | None:
        """Longest time between two committed writes."""
        params = {"since": since} | ({} if until is None else {"until": until})
        answer = httpx.get(f"{self.load_url}/gaps", params=params, trust_env=False).json()
        gap: float | None = answer["longest_gap_seconds"]
        return gap


@dataclass(frozen=True, slots=True)
class Place:
    """A lab's folder. owner: the process that holds it; None: nobody, what is left there is a dead lab's.

    running: None before everything is up.
    """

    path: Path
    owner: int | None
    running: Running | None

    @property
    def state(self) -> str:
        if self.owner is None:
            return "dead"
        return "starting" if self.running is None else "up"


def places(base: Path) -> tuple[Place, ...]:
    """The labs at `base`, base-2, base-3 …, dead ones included."""
    return tuple(place for path in candidates(base) if (place := _look(path)) is not None)


def candidates(base: Path) -> Iterator[Path]:
    yield base
    for number in range(2, MAX_SIDE_BY_SIDE + 1):
        yield base.with_name(f"{base.name}-{number}")


def _look(path: Path) -> Place | None:
    if not (path / "run").is_dir():
        return None
    owner = _owner(path / "run" / "lock")
    running = None
    if owner is not None:
        with suppress(OSError, ValueError, TypeError):
            found = Running(**json.loads((path / FILE).read_text(encoding="utf-8")))
            # A file that a killed lab left says nothing about the one that starts there now.
            running = found if found.pid == owner else None
    return Place(path, owner, running)


def _owner(lock: Path) -> int | None:
    """Who holds the lock; its text alone would do for a process number that is used again."""
    try:
        with lock.open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                # A dead lab's keeper holds the lock, too, while it ends what was left.
                return int(text) if text.isdigit() and keeper.stat(int(text)) is not None else None
    except OSError:
        return None
    return None


def take_down(place: Place, say: Callable[[str], None]) -> None:
    """Ends the lab and removes its folder. A dead one's processes are ended first. Raises ServerFailed."""
    if place.owner is not None:
        _end(place.path, place.owner)
    with ProcessGroup(place.path / "run", say) as group:
        for name in CLUSTERS:
            EmbeddedPostgres(
                group, name, place.path / name, log_path=place.path / "logs" / f"{name}.log", progress=say
            ).remove()
    shutil.rmtree(place.path, ignore_errors=True)


def _end(path: Path, owner: int) -> None:
    found = keeper.stat(owner)
    if found is not None and owner != os.getpid():
        keeper.signal_exactly(owner, found.start_ticks, signal.SIGTERM)
    deadline = time.monotonic() + ENDS_WITHIN_S
    while _owner(path / "run" / "lock") is not None:
        if time.monotonic() > deadline:
            raise ServerFailed(path.name, f"still runs {ENDS_WITHIN_S:.0f} s after process {owner} was told to end")
        time.sleep(_POLL_S)
