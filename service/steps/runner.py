"""Runs one step: claim with a lease, do, then one transaction that decides and saves.

A step is done by whoever holds its newest fence. A process that dies leaves a lease that lapses; a process that was
only paused finds its fence overtaken and its work is discarded.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from agent.events import Event, HumanAsked, StepFailed, Triaged
from agent.machine import IllegalTransition, decide
from agent.runbook.pinned import skill_of
from connectors.store.store import Claimed, Store, Transaction, finish_step
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.incident import Incident
    from agent.machine import Queue
    from agent.runbook.skill import Skill

log = structlog.get_logger()

LEASE_S = 15.0
HEARTBEAT_S = 4.0
MAX_ATTEMPTS = 5
CHECK_ATTEMPTS = 2
"""A check that fails twice is "not visible"; the investigation goes on without it."""
EXECUTE_ATTEMPTS = 40
"""Twenty minutes of asking a target what became of a fix; then a human is asked to look."""
MAX_BACKOFF_S = 30.0

Save = Callable[[Transaction], Event | None]
"""Runs inside the deciding transaction: writes rows, returns what happened, None when nothing did."""
Handler = Callable[["Held"], Save]


class OvertakenError(RuntimeError):
    """Another process holds this step now; whatever we did is to be dropped."""


@dataclass(frozen=True, slots=True)
class Held:
    """A step in our hands."""

    step: Claimed
    runner: Runner

    def save(self, save: Save) -> None:
        """Saves an event while the step goes on. Raises OvertakenError."""
        self.runner.save(self.step, save, ends_step=False)

    def still_mine(self) -> None:
        """Renews the lease. Raises OvertakenError; a store that is away is not a reason to stop what runs outside."""
        try:
            if not self.runner.store.renew(self.step, lease_s=self.runner.lease_s):
                raise OvertakenError(f"step {self.step.id}")
        except Unreachable as error:
            log.warning("lease not renewed", step=self.step.id, error=str(error))


class Runner:
    """Runs the steps of some queues. actor: who the audit says did it.

    queues: the only ones it takes steps of, so that an id sent to the wrong process changes nothing; None: any.
    """

    def __init__(
        self,
        store: Store,
        skills: Mapping[str, Skill],
        handlers: Mapping[str, Handler],
        actor: str,
        *,
        queues: Sequence[Queue] | None = None,
        lease_s: float = LEASE_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self.store = store
        self._queues = queues
        self.lease_s = lease_s
        self._heartbeat_s = heartbeat_s
        self._skills = skills
        self._handlers = handlers
        self._actor = actor
        self.owner = f"{actor}@{socket.gethostname()}:{os.getpid()}"

    def run(self, step_id: int) -> bool:
        """False when the step was not ours to run: done, not due, or in other hands. Raises nothing."""
        try:
            claimed = self.store.claim(step_id, owner=self.owner, lease_s=self.lease_s, queues=self._queues)
        except Unreachable as error:
            log.warning("step not claimed", step=step_id, error=str(error))
            return False
        if claimed is None:
            return False
        held = Held(claimed, self)
        try:
            with self._heartbeat(claimed):
                save = self._do(held)
            self.save(claimed, save, ends_step=True)
        except OvertakenError:
            log.info("step overtaken", step=claimed.id, kind=claimed.kind)
        except IllegalTransition as error:
            self._drop(claimed, str(error))
        except Exception as error:  # the task boundary: it becomes an event on the incident
            if not isinstance(error, Unreachable):
                log.exception("step failed", step=claimed.id, kind=claimed.kind)
            self._failed(claimed, error)
        return True

    def _do(self, held: Held) -> Save:
        step = held.step
        if step.attempts > _attempts(step):
            # Every earlier attempt took its process with it: a poison step must not go round for ever.
            raise Unreachable(step.kind, "every attempt ended with its process", permanent=True)
        handler = self._handlers.get(step.kind)
        if handler is None:
            raise Unreachable(step.kind, f"no handler in this process for {step.kind}", permanent=True)
        return handler(held)

    def save(self, step: Claimed, save: Save, *, ends_step: bool) -> None:
        """One transaction. Raises OvertakenError, IllegalTransition, Unreachable; then nothing was saved."""
        with self.store.transaction() as tx:
            mine = (
                finish_step(tx, step, state="done")
                if ends_step
                else tx.one("renew_step", id=step.id, fence=step.fence, lease_s=self.lease_s) is not None
            )
            if not mine:
                raise OvertakenError(f"step {step.id}")
            incident = tx.incident(step.incident_id, lock=True) if step.incident_id is not None else None
            event = save(tx)
            if event is not None and incident is not None:
                self.apply(tx, incident, event)

    def apply(self, tx: Transaction, incident: Incident, event: Event, *, actor: str | None = None) -> Incident:
        """Decides and saves. The incident's row must be locked. Raises IllegalTransition."""
        skill = self._skill(incident, event)
        decision = decide(incident, skill, event, tx.now())
        if not tx.save(incident, decision, actor=actor or self._actor, action=type(event).__name__):
            raise OvertakenError(incident.key)
        return decision.incident

    def _skill(self, incident: Incident, event: Event) -> Skill | None:
        """The one the incident was triaged with; the one in use now where triage, or a person, begins anew."""
        match event:
            case Triaged():
                return self._skills.get(event.skill)
            case HumanAsked():
                return self._skills.get(incident.skill or "")
            case _:
                return skill_of(self._skills, incident)

    def _failed(self, step: Claimed, error: Exception) -> None:
        text = str(error)[:500] or type(error).__name__
        permanent = isinstance(error, Unreachable) and error.permanent
        last = permanent or step.attempts >= _attempts(step)
        try:
            if not last:
                with self.store.transaction() as tx:
                    tx.one("retry_step", id=step.id, fence=step.fence, error=text, after_s=_backoff_s(step.attempts))
                return
            self._give_up(step, StepFailed(step.kind, text, step.args.get("check")), text)
        except Unreachable as away:
            # The lease lapses and the step comes back by itself.
            log.warning("failure not recorded", step=step.id, error=str(away))
        except Exception:  # the event itself cannot be decided on: a human is told, the step does not go round
            log.exception("failure not decided", step=step.id, kind=step.kind)
            self._told_plainly(step, text)

    def _told_plainly(self, step: Claimed, text: str) -> None:
        try:
            self._give_up(step, StepFailed(step.kind, text), text)
        except Unreachable as away:
            log.warning("failure not recorded", step=step.id, error=str(away))

    def _give_up(self, step: Claimed, event: StepFailed, text: str) -> None:
        try:
            with self.store.transaction() as tx:
                if not finish_step(tx, step, state="failed", error=text):
                    return
                incident = tx.incident(step.incident_id, lock=True) if step.incident_id is not None else None
                if incident is None:
                    self._nobody_to_tell(tx, step, text)
                    return
                self.apply(tx, incident, event)
        except IllegalTransition as error:
            self._drop(step, f"{text}; {error}")

    def _nobody_to_tell(self, tx: Transaction, step: Claimed, text: str) -> None:
        """A step without an incident is an intake: what was answered 202 stays visible."""
        if "inbox" in step.args:
            tx.run("mark_inbox", id=step.args["inbox"], state="quarantined", reason=text)
        tx.audit(None, self._actor, "StepFailed", {"step": step.kind, "note": text})

    def _drop(self, step: Claimed, why: str) -> None:
        try:
            with self.store.transaction() as tx:
                if finish_step(tx, step, state="done", error=why):
                    tx.audit(step.incident_id, self._actor, "dropped", {"step": step.kind, "note": why})
        except Unreachable as error:
            log.warning("drop not recorded", step=step.id, error=str(error))

    @contextmanager
    def _heartbeat(self, step: Claimed) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._heartbeat_s):
                try:
                    if not self.store.renew(step, lease_s=self.lease_s):
                        return
                except Unreachable as error:
                    log.warning("lease not renewed", step=step.id, error=str(error))

        thread = threading.Thread(target=beat, name=f"lease-{step.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _attempts(step: Claimed) -> int:
    match step.kind:
        case "check" | "attribute":
            return CHECK_ATTEMPTS
        case "execute":
            return EXECUTE_ATTEMPTS
        case _:
            return MAX_ATTEMPTS


def _backoff_s(attempts: int) -> float:
    """0.5 s, doubling, with jitter so that a returning system is not hit at once."""
    return float(min(MAX_BACKOFF_S, 0.5 * 2 ** min(attempts - 1, 10)) * random.uniform(0.7, 1.3))  # noqa: S311 jitter, not a secret
