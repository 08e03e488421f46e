"""The executor's one step. At most once: what the store authorised is claimed again in the target itself.

A crash after the start marker is never a second start: a restart looks at the target and adopts what it sees.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import structlog

from agent.database.execution import Terms
from agent.events import ExecutionEnded, ExecutionStarted
from agent.incident import ExecutionState
from agent.machine import Step
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from guardrails.action import connection_of
from guardrails.judge import admit
from guardrails.permit import Permit
from guardrails.verdict import Refused
from service.steps.investigate import recent_executions
from service.steps.runner import OvertakenError

if TYPE_CHECKING:
    from datetime import datetime

    from agent.database.execution import Progress, RunResult
    from agent.events import Event
    from agent.ports import TargetWriter
    from connectors.store.store import Row, Transaction
    from guardrails.action import Action
    from guardrails.approved import Approved
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

log = structlog.get_logger()

ADOPT_POLL_S = 0.5
EFFECT_AFTER_S = 5.0
"""From the end of a run to the first look at what it changed, and between two looks."""
ENDED = frozenset({ExecutionState.FINISHED, ExecutionState.FAILED, ExecutionState.ABORTED, ExecutionState.ROLLED_BACK})


def execute(ports: Ports) -> Handler:
    def handle(held: Held) -> Save:
        with ports.store.transaction() as tx:
            row = tx.one("execution", id=held.step.args["execution"])
            paper = paper_of(tx, row) if row else {}
        if row is None:
            raise Unreachable("store", "the execution is gone", permanent=True)
        state = ExecutionState(row["state"])
        if state in ENDED:
            return _again(row)
        try:
            held_target = ports.writer(paper["proposal"]["target"], connection_of(paper["proposal"]["action"]))
        except Unreachable as error:
            if state is ExecutionState.AUTHORISED and error.permanent:
                return _end(row, "aborted", f"not started: {error}", {})
            raise
        with held_target as writer:
            if state is ExecutionState.AUTHORISED:
                return _start(ports, held, row, paper, writer)
            return _adopt(ports, held, row, paper, writer)

    return handle


# --- Start -------------------------------------------------------------------------------------------------------


def _start(ports: Ports, held: Held, row: Row, paper: dict[str, Any], writer: TargetWriter) -> Save:
    with ports.store.transaction() as tx:
        now = tx.now()
        control = tx.one("control")
        recent = recent_executions(tx, ports, paper["proposal"]["target"])
    if control is None:
        raise Unreachable("store", "the kill switch cannot be read")
    paused = (control["reason"] or "no reason given") if control["paused"] else None
    admitted = admitted_as(ports, paper, writer, now=now, paused=paused)
    if isinstance(admitted, Refused):
        return _end(row, "aborted", "not admitted: " + "; ".join(admitted.reasons), {})
    if row["phase"] == "run":
        preflight = writer.preflight(admitted, recent_executions=recent)
        if not preflight.ok:
            return _end(row, "aborted", "the target is not ready: " + "; ".join(preflight.refusals), {})
    started = _mark_started(held, row)
    if not writer.claim(str(row["approval_id"]), row["phase"], 0, "run", str(row["id"])):
        return _end(started, "failed", "the target says that this approval was run or given up before", {})
    result = _run(ports, held, started, writer, admitted, paper)
    return _finish(started, row["phase"], result, writer, admitted)


def paper_of(tx: Transaction, row: Row) -> dict[str, Any]:
    approval = tx.one("approval", id=row["approval_id"])
    proposal = tx.one("proposal", id=approval["proposal_id"]) if approval else None
    if approval is None or proposal is None:
        raise Unreachable("store", "an execution without its approval", permanent=True)
    return {"approval": approval, "proposal": proposal, "permits": tx.all("permits", approval=approval["id"])}


def admitted_as(
    ports: Ports, paper: dict[str, Any], writer: TargetWriter, *, now: datetime, paused: str | None
) -> Approved[Action] | Refused:
    approval, proposal = paper["approval"], paper["proposal"]
    if approval["state"] != "approved":
        return Refused((f"the approval is {approval['state']}",))
    target = proposal["target"]
    if target not in ports.configuration.targets:
        return Refused((f"{target} is not a configured target of this executor",))
    identity = writer.identity()
    return admit(
        kind=proposal["action"],
        params=proposal["params"],
        document=proposal["document"],
        approval_id=str(approval["id"]),
        approved_digest=approval["digest"],
        permits=[_permit(one) for one in paper["permits"]],
        policy=ports.configuration.rules,
        keys=ports.verify_keys,
        target=target,
        target_identity={
            "name": identity.name,
            "system_identifier": identity.system_identifier,
            "database": identity.database,
        },
        environment=ports.configuration.targets[target].environment,
        now=now,
        paused=paused,
        proposer=proposal["proposed_by"],
    )


def terms_of(paper: dict[str, Any]) -> Terms:
    """What was signed beside the command; the usual bounds where a document says nothing of them."""
    signed = paper["proposal"]["document"]["verification"]
    return Terms.from_data({name: signed[name] for name in ("bounds", "statement") if name in signed})


def _permit(row: Row) -> Permit:
    return Permit(
        str(row["approval_id"]), row["digest"], row["person"], row["decided_at"], row["key_id"], row["signature"]
    )


def _mark_started(held: Held, row: Row) -> Row:
    """The start marker and the incident's event in one transaction. From here on a crash means "look", not "again"."""
    moved: list[Row] = []

    def save(tx: Transaction) -> Event:
        after = tx.one(
            "move_execution", id=row["id"], version=row["version"], state="started", result=None, ended=False
        )
        if after is None:
            raise OvertakenError(str(row["id"]))
        moved.append({**row, **after, "state": "started"})
        return ExecutionStarted(row["phase"], after["started_at"])

    held.save(save)
    return moved[0]


def _run(
    ports: Ports, held: Held, row: Row, writer: TargetWriter, approved: Approved[Action], paper: dict[str, Any]
) -> RunResult:
    saver = _saver(ports, held, row)
    if row["phase"] == "rollback":
        return writer.roll_back(approved, str(row["id"]), saver)
    return writer.run(approved, str(row["id"]), saver, terms_of(paper))


def _saver(ports: Ports, held: Held, row: Row) -> Any:
    """Shows progress; a store that is away loses a picture, nothing else."""

    def save(progress: Progress) -> None:
        try:
            with ports.store.transaction() as tx:
                tx.run("save_progress", id=row["id"], progress=jsonb(progress.as_data()))
                tx.audit(held.step.incident_id, "executor", "Progress", progress.as_data())
        except Unreachable as error:
            log.warning("progress not saved", error=str(error))

    return save


def _finish(row: Row, phase: str, result: RunResult, writer: TargetWriter, approved: Approved[Action]) -> Save:
    data = result.as_data()
    match result.status:
        case "finished" if phase == "rollback":
            return _end(row, "rolled_back", result.detail, data)
        case "finished":
            return _end(
                row,
                "finished",
                result.detail,
                data,
                effect_of=result.before is not None and bool(approved.action.table),
            )
        case "failed":
            status, cleaned = _clean(writer, approved, row) if phase == "run" else ("failed", "")
            return _end(row, status, f"{result.detail}{cleaned}", data)
        case "unknown":
            return _unknown(row, result.detail)


def _clean(writer: TargetWriter, approved: Approved[Action], row: Row) -> tuple[Literal["finished", "failed"], str]:
    """Removes what is half done and would cost every write; part of what was approved. A rebuild that broke after it
    had taken the old index's place has only the old one left to remove, and is finished then.
    """
    if writer.inspect(approved, str(row["id"])).kind != "invalid":
        return "failed", "; nothing is left behind"
    removed = writer.clean(approved, str(row["id"]))
    if removed.status != "finished":
        return "failed", f"; remains: {removed.detail}"
    whole = writer.inspect(approved, str(row["id"])).kind == "valid"
    return ("finished" if whole else "failed"), f"; remains removed: {removed.detail}"


# --- Adopt -------------------------------------------------------------------------------------------------------


def _adopt(ports: Ports, held: Held, row: Row, paper: dict[str, Any], writer: TargetWriter) -> Save:
    """Another process started this and is gone: look at the target, wait for what still runs, tell what came of it."""
    # Whether it may start was decided at the start marker; what is admitted again is only what to look for.
    admitted = admitted_as(ports, paper, writer, now=row["started_at"], paused=None)
    if isinstance(admitted, Refused):
        raise Unreachable("approval", "; ".join(admitted.reasons), permanent=True)
    execution_id = str(row["id"])
    seen = writer.inspect(admitted, execution_id)
    while seen.kind == "building":
        held.still_mine()
        if seen.progress is not None:
            _saver(ports, held, row)(seen.progress)
        time.sleep(ADOPT_POLL_S)
        seen = writer.inspect(admitted, execution_id)
    if row["phase"] == "rollback":
        if seen.kind == "invalid":
            writer.clean(admitted, execution_id)
            seen = writer.inspect(admitted, execution_id)
        return _adopted_rollback(row, seen.kind)
    match seen.kind:
        case "valid":
            return _end(row, "finished", f"adopted after a restart: {seen.detail}", seen.as_data())
        case "invalid":
            status, cleaned = _clean(writer, admitted, row)
            return _end(row, status, f"broke midway{cleaned}", seen.as_data())
        case "absent":
            return _adopted_absent(row, writer)
        case _:
            return _end(row, "failed", f"something else stands where the fix should be: {seen.detail}", seen.as_data())


def _adopted_rollback(row: Row, kind: str) -> Save:
    if kind == "absent":
        return _end(row, "rolled_back", "adopted after a restart: what was done is undone", {})
    return _end(row, "failed", "the rollback broke; the fix is still in effect, undo it by hand", {})


def _adopted_absent(row: Row, writer: TargetWriter) -> Save:
    if writer.claim(str(row["approval_id"]), row["phase"], 0, "abandon", str(row["id"])):
        return _end(row, "failed", "the executor died before it began; nothing was run", {})
    return _end(row, "failed", "it broke before it took any effect; nothing is left behind", {})


# --- Ends --------------------------------------------------------------------------------------------------------


def _end(row: Row, status: Any, detail: str, data: dict[str, Any], *, effect_of: bool = False) -> Save:
    """effect_of: what the fix changed is looked at a while later."""

    def save(tx: Transaction) -> Event:
        current = row
        if status == "rolled_back" and row["state"] == "started":
            current = {**row, "version": _move(tx, row, "rolling_back", {}, ended=False)["version"]}
        moved = _move(tx, current, status, {**data, "detail": detail}, ended=True)
        if effect_of:
            tx.add_step(row["incident_id"], effect_step(str(row["id"]), 1))
        return ExecutionEnded(row["phase"], status, detail, moved["finished_at"])

    return save


def effect_step(execution: str, look: int) -> Step:
    """The first look has the number 1."""
    return Step("effect", "execute", {"execution": execution, "look": look}, after_s=EFFECT_AFTER_S)


def _unknown(row: Row, detail: str) -> Save:
    """The connection broke in the middle. The state is unknown until the target is looked at: this step comes back."""

    def save(tx: Transaction) -> Event | None:
        if row["state"] != "unknown":
            _move(tx, row, "unknown", {"detail": detail}, ended=False)
        tx.audit(row["incident_id"], "executor", "ExecutionUnknown", {"note": detail})
        tx.add_step(row["incident_id"], Step("execute", "execute", {"execution": str(row["id"])}, after_s=1.0))
        return None

    return save


def _move(tx: Transaction, row: Row, state: str, result: dict[str, Any], *, ended: bool) -> Row:
    moved = tx.one(
        "move_execution", id=row["id"], version=row["version"], state=state, result=jsonb(result) if result else None,
        ended=ended,
    )  # fmt: skip
    if moved is None:
        raise OvertakenError(str(row["id"]))
    return moved


def _again(row: Row) -> Save:
    """The end was saved but its step was not: tell it once more."""
    detail = (row["result"] or {}).get("detail", "")
    event = ExecutionEnded(row["phase"], row["state"], detail, row["finished_at"])
    return lambda _tx: event
