"""What goes on all the time beside requests and tasks: the relay, the pollers, the sealer.

Each loop survives whatever happens to the store or the broker, and says so in the log.
"""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from connectors import broker
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from guardrails.audit import GENESIS, AuditRow, seal
from service.steps import approve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from celery import Celery

    from agent.machine import Queue
    from connectors.store.store import Row, Store
    from guardrails.policy import Policy
    from service.steps.runner import Runner

log = structlog.get_logger()

POLL_S = 1.0
"""How late a step can be when every hint is lost."""
RELAY_GAP_S = 0.02
GRACE_S = 1.5
"""A published step that nobody took in this time is run by whoever polls."""
SEAL_S = 0.3
SEAL_BATCH = 500
HEAD_EVERY_S = 60.0
LARGEST_INTEGER = 2**53
"""RFC 8785, section 3.2.2.3: numbers are IEEE doubles."""
PUBLISHED: tuple[Queue, ...] = ("agent", "causal", "execute")


@dataclass(frozen=True, slots=True)
class Loop:
    """A body run again and again on a thread of its own, at most every period_s, sooner when woken.

    gap_s: the least time between two turns, so that what comes in a burst is done in one.
    """

    name: str
    body: Callable[[], float | None]
    period_s: float
    wake: threading.Event
    stop: threading.Event
    gap_s: float = 0.0

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._turn, name=self.name, daemon=True)
        thread.start()
        return thread

    def _turn(self) -> None:
        while not self.stop.is_set():
            wait_s = self.period_s
            try:
                sooner = self.body()
                wait_s = wait_s if sooner is None else max(0.005, min(sooner, wait_s))
            except Unreachable as error:
                log.warning("loop waits", loop=self.name, error=str(error))
            except Exception:  # the loop boundary: a defect in one turn must not end the loop
                log.exception("loop turn failed", loop=self.name)
            if self.gap_s:
                self.stop.wait(self.gap_s)
            self.wake.wait(wait_s)
            self.wake.clear()


def poller(runner: Runner, queues: Sequence[Queue], *, grace_s: float, stop: threading.Event, threads: int) -> Loop:
    """Runs due steps straight from the store: what keeps work going when the broker is dead."""
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="polled")
    running: set[int] = set()

    def run(step_id: int) -> None:
        try:
            runner.run(step_id)
        finally:
            running.discard(step_id)

    def body() -> None:
        for step_id in runner.store.due(queues, grace_s=grace_s):
            if step_id not in running and len(running) < threads:
                running.add(step_id)
                pool.submit(run, step_id)

    return Loop("poller", body, POLL_S, threading.Event(), stop)


def relay(store: Store, app: Celery, stop: threading.Event) -> Loop:
    """Publishes ids of due steps. Publishing comes after the commit that made the step, never inside a request."""

    def body() -> float | None:
        with store.transaction() as tx:
            rows = tx.all("publishable", queues=list(PUBLISHED), limit=50)
        for position, row in enumerate(rows):
            try:
                broker.publish(app, row["queue"], row["id"])
            except Unreachable:
                with store.transaction() as tx:
                    tx.run("unpublish", ids=[one["id"] for one in rows[position:]])
                raise
        with store.transaction() as tx:
            due = tx.one("next_due")
        return due["in_s"] if due else None

    return Loop("relay", body, POLL_S, threading.Event(), stop, RELAY_GAP_S)


def expirer(runner: Runner, policy: Policy, stop: threading.Event) -> Loop:
    """Ends what nobody decided in time, and says before that nobody has."""

    def body() -> None:
        approve.expire(runner)
        approve.escalate(runner, policy)

    return Loop("expirer", body, POLL_S, threading.Event(), stop)


def sealer(store: Store, stop: threading.Event) -> Loop:
    """Chains audit rows within a second of their commit."""

    def body() -> None:
        seal_all(store)

    return Loop("sealer", body, SEAL_S, threading.Event(), stop)


def seal_all(store: Store) -> int:
    """How many rows were sealed. One sealer at a time; another one finds the lock taken and does nothing."""
    sealed = 0
    with store.transaction() as tx:
        mine = tx.one("try_sealing")
        if mine is None or not mine["mine"]:
            return 0
        head = tx.one("seal_head")
        seq, prev = (head["seq"], head["hash"]) if head else (0, GENESIS)
        for row in tx.all("unsealed", limit=SEAL_BATCH):
            seq += 1
            hashed = seal(prev, audit_row(seq, row))
            tx.run("add_seal", seq=seq, audit=row["id"], prev=prev, hash=hashed)
            prev = hashed
            sealed += 1
    return sealed


def audit_row(seq: int, row: Row) -> AuditRow:
    incident = None if row["incident_id"] is None else f"INC-{row['incident_id']}"
    return AuditRow(seq, row["at"], row["actor"], row["action"], incident, _sealable(row["data"]))


def _sealable(value: Any) -> Any:
    """Integers past 2^53 have no canonical form; as text they have. One such row must not stop the sealer for ever."""
    match value:
        case dict():
            return {name: _sealable(one) for name, one in value.items()}
        case list():
            return [_sealable(one) for one in value]
        case int() if abs(value) >= LARGEST_INTEGER:
            return str(value)
        case _:
            return value


def head_exporter(store: Store, folder: Path, stop: threading.Event) -> Loop:
    """Copies the head of the chain outside the store each minute: only so is a cut tail found."""
    told: list[str] = []

    def body() -> None:
        with store.transaction() as tx:
            head = tx.one("seal_head")
        if head is None or head["hash"] in told:
            return
        folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"seq": head["seq"], "hash": head["hash"], "at": head["at"].isoformat()})
        with (folder / "audit-heads.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        told[:] = [head["hash"]]

    return Loop("head exporter", body, HEAD_EVERY_S, threading.Event(), stop)


def presence(store: Store, name: str, kind: str, detail: Mapping[str, Any], stop: threading.Event) -> Loop:
    """Says every few seconds that this process is there."""

    def body() -> None:
        with store.transaction() as tx:
            tx.run("seen", name=name, kind=kind, detail=jsonb(dict(detail)))

    return Loop("presence", body, 5.0, threading.Event(), stop)


class Listener:
    """Passes the store's notifications on. Hints only: with a broken connection everything still goes by polling. After
    one, everybody is told once with an empty text, for nobody knows what was missed.
    """

    def __init__(self, dsn: str, wakes: Mapping[str, Callable[[str], None]], stop: threading.Event) -> None:
        self._dsn = dsn
        self._wakes = wakes
        self._stop = stop

    def start(self) -> None:
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def _listen(self) -> None:
        missed = False
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=3) as connection:
                    for channel, wake in self._wakes.items():
                        connection.execute(f"LISTEN {channel}".encode())
                        if missed:
                            wake("")
                    missed = True
                    while not self._stop.is_set():
                        for notice in connection.notifies(timeout=1.0):
                            self._wakes[notice.channel](notice.payload)
            except psycopg.Error as error:
                log.info("notifications are away, polling goes on", error=type(error).__name__)
                self._stop.wait(POLL_S)
