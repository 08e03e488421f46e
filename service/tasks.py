"""Celery's side: a worker or an executor serves its queues, and polls the store beside them."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Literal

import structlog

from connectors.broker import celery_app, register
from service import access, loops, wiring
from service.settings import Settings, refuse_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.machine import Queue
    from service.ports import Ports
    from service.steps.runner import Handler, Runner

log = structlog.get_logger()

THREADS = 4
ServedQueue = Literal["agent", "causal", "both"]
SERVED: Mapping[ServedQueue, tuple[Callable[[Ports], Mapping[str, Handler]], Sequence[Queue], int]] = {
    "agent": (wiring.agent_handlers, ("agent",), THREADS),
    "causal": (wiring.causal_handlers, ("causal",), 2),
    "both": (wiring.both_handlers, ("agent", "causal"), THREADS),
}


def work(settings: Settings, queue: ServedQueue) -> int:
    """`stanch worker`: until a signal. Returns the exit code. Raises UnusableSettings."""
    refuse_signing_key(settings, "worker")
    given = wiring.ports(settings, "worker")
    handlers_of, queues, threads = SERVED[queue]
    if "causal" in queues:
        preload()
    runner = wiring.runner(given, handlers_of(given), "worker", queues)
    stop = threading.Event()
    if "agent" in queues:
        access.looking(given, ("diagnose",), stop).start()
    return _serve(settings, runner, f"worker {queue}", queues, threads, stop)


def execute(settings: Settings) -> int:
    """`stanch executor`: until a signal. Raises UnusableSettings."""
    refuse_signing_key(settings, "executor")
    settings.require("verify_keys")
    given = wiring.ports(settings, "executor")
    runner = wiring.runner(given, wiring.executor_handlers(given), "executor", ("execute",))
    stop = threading.Event()
    access.looking(given, ("fix", "signal", "admin"), stop).start()
    return _serve(settings, runner, "executor", ("execute",), 2, stop)


def preload() -> None:
    """Dowhy takes seconds to import: before the first incident, not in it."""
    from causal import attribution  # noqa: PLC0415 the causal queue's process only

    attribution.preload()


def _serve(
    settings: Settings, runner: Runner, kind: str, queues: Sequence[Queue], threads: int, stop: threading.Event
) -> int:
    name = f"{kind}@{socket.gethostname()}:{os.getpid()}"
    loops.poller(runner, queues, grace_s=loops.GRACE_S, stop=stop, threads=threads).start()
    loops.presence(runner.store, name, kind, {"pid": os.getpid(), "queues": list(queues)}, stop).start()
    app = celery_app(settings.require("broker_url"))
    register(app, runner.run)
    worker = app.Worker(
        queues=list(queues),
        pool="threads",
        concurrency=threads,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        hostname=f"{kind.replace(' ', '-')}-{os.getpid()}@%h",
        quiet=True,
    )
    log.info("ready", process=kind, queues=list(queues))
    try:
        worker.start()
    finally:
        stop.set()
    code: int = worker.exitcode or 0
    return code
