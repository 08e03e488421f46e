"""What a fix changed: a look at the target's own counters some time after the run, kept as evidence.

It decides nothing: whether the incident is over is the verification's to say. What it finds is shown beside that, with
the way back where the fix did not help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database.execution import Counters
from agent.incident import ExecutionState
from connectors.unreachable import Unreachable
from guardrails.action import connection_of
from guardrails.verdict import Refused
from service.steps import evidence
from service.steps.evidence import Found
from service.steps.execute import admitted_as, effect_step, paper_of, terms_of

if TYPE_CHECKING:
    from agent.database.execution import Effect
    from connectors.store.store import Row, Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

LOOKS = 12
"""After so many, a minute after the run, the calls there were have to do."""


def effect(ports: Ports) -> Handler:
    def handle(held: Held) -> Save:
        with ports.store.transaction() as tx:
            row = tx.one("execution", id=held.step.args["execution"])
            paper = paper_of(tx, row) if row else {}
            undone = row is not None and _rolled_back(tx, row)
        if row is None or row["state"] != ExecutionState.FINISHED or undone:
            return lambda _tx: None
        try:
            seen = _look(ports, row, paper)
        except Unreachable as error:
            return _keep(held, Found("not_visible", f"What the fix changed could not be looked at: {error}", {}))
        too_early = seen.mean_ms_before is not None and seen.mean_ms_after is None
        if too_early and int(held.step.args["look"]) < LOOKS:
            return lambda tx: _again(tx, held, row)
        return _keep(held, _found(seen, paper["proposal"]["rollback"]))

    return handle


def _rolled_back(tx: Transaction, row: Row) -> bool:
    return any(one["phase"] == "rollback" for one in tx.all("executions", incident=row["incident_id"]))


def _look(ports: Ports, row: Row, paper: dict[str, Any]) -> Effect:
    proposal = paper["proposal"]
    with ports.writer(proposal["target"], connection_of(proposal["action"])) as writer:
        # Decided long ago; what is admitted again is only what to look at.
        admitted = admitted_as(ports, paper, writer, now=row["started_at"], paused=None)
        if isinstance(admitted, Refused):
            raise Unreachable("approval", "; ".join(admitted.reasons), permanent=True)
        return writer.effect(admitted, Counters.from_data(row["result"]["before"]), terms_of(paper))


def _again(tx: Transaction, held: Held, row: Row) -> None:
    tx.add_step(row["incident_id"], effect_step(str(row["id"]), int(held.step.args["look"]) + 1))


def _found(seen: Effect, rollback: str) -> Found:
    """A rollback is offered with its exact command, and never begun from here."""
    way_back = f"; to take it back: {rollback}" if seen.advice == "roll_back" and rollback else ""
    return Found("note", f"{seen.summary}{way_back}", {**seen.as_data(), "rollback": rollback})


def _keep(held: Held, found: Found) -> Save:
    def save(tx: Transaction) -> None:
        evidence.store(tx, held.step, "effect", "database", found)

    return save
