"""Runs approved actions on a target: claims them in the target itself, watches the build, and says what is there.

Three things keep it to one run: the claim row, the object name that follows from the proposal, and a lock by table.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg.pq import TransactionStatus

from agent.database.execution import Claim, Observed, Preflight, Progress, RunResult
from connectors.target import facts
from connectors.target.command import SETTINGS as COMMAND_SETTINGS
from connectors.target.command import Command, lift_interruptions
from connectors.target.diagnose import read_identity
from connectors.target.session import Connection, application_name, connect, row, rows, translated
from connectors.unreachable import Unreachable
from guardrails.index_action import CreateIndexConcurrently
from guardrails.policy import PRODUCTION, Policy
from guardrails.preflight import preflight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from agent.database.execution import ClaimKind, Phase, Status
    from agent.database.snapshot import TargetIdentity
    from guardrails.action import Action
    from guardrails.approved import Approved

EXECUTING = "stanch-exec:"
APPLICATION = "stanch-fix"
SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "500ms",
    "idle_in_transaction_session_timeout": "10s",
    "search_path": "pg_catalog",
    # A claim that a crash of the target could forget is no claim.
    "synchronous_commit": "on",
}
LOCK_NAMESPACE = 0x53544E43
"""First key of the advisory lock ("STNC"); the second is the table's oid, and the database is part of the lock."""
POLL_S = 0.5
TABLE_WAIT_S = 600.0
"""How long a run waits for another fix of ours on the same table before it gives up untouched."""
BLOCKED_LIMIT_S = 900.0
"""How long a running command may wait for one other session. There is no lock_timeout, since each expiry leaves an
INVALID index; this ends it only when waiting has become worse than building again."""
ENDING_POLLS = 25
ENDING_POLL_S = 0.2
"""How long an ended command's session may take to disappear from the server before we go on regardless."""
_TOO_LATE = "the time to start has passed; nothing was done, ask for a new approval"
SILENCE_LIMIT_S = 60.0
"""How long the target may leave our questions unanswered before the outcome is called unknown."""


class FixConnection:
    """The executor's hold on one target. A control connection is kept; each command gets a connection of its own.

    identity() comes first: what admit() compared with the signed document is what run() insists on. Not to be shared
    between threads. Raises Unreachable and nothing else of its own; on_progress's exceptions pass through and leave the
    command running on the server, where inspect() finds it.
    """

    def __init__(
        self,
        fix_dsn: str,
        name: str,
        *,
        policy: Policy | None = None,
        environment: str = PRODUCTION,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        blocked_limit_s: float = BLOCKED_LIMIT_S,
        table_wait_s: float = TABLE_WAIT_S,
    ) -> None:
        self._dsn = fix_dsn
        self._name = name
        self._policy = policy or Policy()
        self._environment = environment
        self._clock = clock
        self._blocked_limit_s = blocked_limit_s
        self._table_wait_s = table_wait_s
        self._control: Connection | None = None
        self._identity: TargetIdentity | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def identity(self) -> TargetIdentity:
        with translated(self._name):
            found = read_identity(self._open(), self._name)
        self._identity = self._identity or found
        return found

    def preflight(self, approved: Approved[Action], *, recent_executions: int = 0) -> Preflight:
        action = approved.action
        if not isinstance(action, CreateIndexConcurrently):
            return Preflight(False, (_not_run_here(action),), ())
        with translated(self._name):
            connection = self._open()
            seen, not_visible = facts.collect(
                connection,
                action,
                target=self._name,
                environment=self._environment,
                now=self._clock(),
                recent_executions=recent_executions,
            )
            relid = self._relid(connection, approved)
            holder = None if relid is None else self._lock_holder(connection, relid)
            lag_s = facts.replication_lag_s(connection)
            lacking = () if relid is None else facts.missing_rights(connection, relid, action.schema)
        found = preflight(action, approved.rendered, seen, self._policy)
        refusals = [f"{finding.why}; {finding.fix}" for finding in found if finding.level == "refuse"]
        notes = [f"{finding.why}; {finding.fix}" for finding in found if finding.level != "refuse"]
        refusals += lacking
        if holder is not None:
            refusals.append(f"process {holder} holds the table for another fix; wait for it to finish")
        if lag_s is not None and lag_s > facts.SLOW_STANDBY_S:
            notes.append(f"a standby is {lag_s:.0f} s behind, and a build writes as much WAL as the index is big")
        notes += [f"{gap.what} not visible: {gap.why}" for gap in not_visible]
        return Preflight(not refusals, tuple(refusals), tuple(notes))

    def claim(self, approval_id: str, phase: Phase, part: int, kind: ClaimKind, execution_id: str) -> bool:
        """When the connection breaks meanwhile, claimed() tells who was first."""
        params = {
            "approval_id": approval_id,
            "phase": phase,
            "part": part,
            "kind": kind,
            "execution_id": execution_id,
        }
        with translated(self._name):
            return row(self._open(), "claim", params) is not None

    def claimed(self, approval_id: str, phase: Phase, part: int = 0) -> Claim | None:
        with translated(self._name):
            found = row(self._open(), "claimed", {"approval_id": approval_id, "phase": phase, "part": part})
        return Claim(**found) if found else None

    def run(self, approved: Approved[Action], execution_id: str, on_progress: Callable[[Progress], None]) -> RunResult:
        """Sends the approved steps, each exactly as approved, then reads back what is there."""
        if not isinstance(approved.action, CreateIndexConcurrently):
            return self._refused(_not_run_here(approved.action))
        if self._clock() >= approved.start_by:
            return self._refused(_TOO_LATE)
        result = self._execute(approved, approved.rendered.steps, execution_id, on_progress, start_by=approved.start_by)
        if result.status != "finished":
            return result
        return self._read_back(approved, execution_id, result, wanted="valid")

    def inspect(self, approved: Approved[Action], execution_id: str) -> Observed:
        with translated(self._name):
            return self._observed(self._open(), approved, execution_id)

    def clean(self, approved: Approved[Action], execution_id: str) -> RunResult:
        seen = self.inspect(approved, execution_id)
        if seen.kind == "absent":
            return self._nothing_to_do("nothing was left behind")
        if seen.kind != "invalid":
            return self._refused(f"only an invalid index is cleaned up, and this one is {seen.kind}: {seen.detail}")
        result = self._execute(approved, approved.rendered.cleanup_steps, execution_id, _ignore)
        return self._read_back(approved, execution_id, result, wanted="absent")

    def roll_back(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunResult:
        seen = self.inspect(approved, execution_id)
        if seen.kind == "absent":
            return self._nothing_to_do("it is gone already")
        if seen.kind in {"building", "elsewhere"}:
            return self._refused(f"not rolled back: {seen.detail}")
        result = self._execute(approved, approved.rendered.rollback_steps, execution_id, on_progress or _ignore)
        return self._read_back(approved, execution_id, result, wanted="absent")

    def _open(self) -> Connection:
        if self._control is None or self._control.closed:
            self._control = connect(self._dsn, self._name, APPLICATION, SETTINGS)
        return self._control

    def _execute(
        self,
        approved: Approved[Action],
        steps: tuple[str, ...],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        *,
        start_by: datetime | None = None,
    ) -> RunResult:
        started_at = self._clock()
        with translated(self._name):
            control = self._open()
            relid = self._relid(control, approved)
            if relid is None:
                return self._refused("the table is not there any more; nothing was done")
            application = application_name(EXECUTING, execution_id)
            executing = connect(self._dsn, self._name, application, COMMAND_SETTINGS)
        try:
            with translated(self._name):
                objection = self._objection(executing) or self._lock(executing, relid, on_progress)
            if objection is None and start_by is not None and self._clock() >= start_by:
                objection = _TOO_LATE
            if objection is not None:
                return self._refused(objection)
            command = Command(executing, steps)
            command.start()
            outcome = self._watch(command, relid, on_progress)
        finally:
            self._release(executing, relid, application)
        return RunResult(*outcome, started_at, self._clock(), command.notices)

    def _release(self, executing: Connection, relid: int, application: str) -> None:
        """Ends the session so that inspect() no longer takes it for one at work: a server's session outlives its
        client, and its own last error, by a moment. One that is still at work is left alone, since closing our end
        would not stop it.
        """
        if not executing.closed and executing.info.transaction_status is TransactionStatus.ACTIVE:
            return
        with contextlib.suppress(psycopg.Error, Unreachable):
            if not executing.closed:
                params = {"namespace": LOCK_NAMESPACE, "relid": relid, "application": APPLICATION}
                rows(executing, "unlock", params)
            executing.close()
            for _ in range(ENDING_POLLS):
                with translated(self._name):
                    if row(self._open(), "executing_backend", {"application": application}) is None:
                        return
                time.sleep(ENDING_POLL_S)

    def _objection(self, executing: Connection) -> str | None:
        """The very session that will run the command has to be on the approved server, and that has to be a primary."""
        lift_interruptions(executing)
        here = read_identity(executing, self._name)
        if self._identity is None:
            return "the target's identity was never read, so nobody can have approved it"
        if (here.system_identifier, here.database) != (self._identity.system_identifier, self._identity.database):
            return "the connection now leads to another server or database than the approved one; nothing was done"
        return "the server is a standby; connect to the primary" if here.in_recovery else None

    def _lock(self, executing: Connection, relid: int, on_progress: Callable[[Progress], None]) -> str | None:
        """Never the blocking form: a session that waits in it makes the build it waits for deadlock."""
        give_up_at = time.monotonic() + self._table_wait_s
        params = {"namespace": LOCK_NAMESPACE, "relid": relid}
        while True:
            answer = row(executing, "try_lock", params)
            if answer is not None and answer["locked"]:
                return None
            holder = self._lock_holder(self._open(), relid)
            if time.monotonic() >= give_up_at:
                return (
                    f"process {holder} held the table for another fix for {self._table_wait_s:.0f} s; nothing was done"
                )
            on_progress(Progress("waiting for another fix on the table", 0, 0, "none", None, holder))
            time.sleep(POLL_S)

    def _watch(self, command: Command, relid: int, on_progress: Callable[[Progress], None]) -> tuple[Status, str]:
        """Until the command ends: progress twice a second. Ends a wait that lasts too long."""
        last: Progress | None = None
        blocked_since: float | None = None
        silent_since = time.monotonic()
        while not command.ended(POLL_S):
            now = time.monotonic()
            try:
                with translated(self._name):
                    seen = progress_of(self._open(), command.pid, relid)
                silent_since = now
            except Unreachable as error:
                if now - silent_since > SILENCE_LIMIT_S:
                    return "unknown", f"the target has not answered for {SILENCE_LIMIT_S:.0f} s: {error.why}"
                continue
            blocked_since = (blocked_since or now) if seen is not None and seen.blocked_by else None
            if blocked_since is not None and now - blocked_since > self._blocked_limit_s:
                command.cancel()
            if seen is not None and seen != last:
                on_progress(seen)
                last = seen
        return command.outcome()

    def _observed(self, connection: Connection, approved: Approved[Action], execution_id: str) -> Observed:
        """First who is at it, then what is there: once nobody is at it any more, what is there stays so."""
        relid = self._relid(connection, approved)
        if relid is None:
            return Observed("absent", "the table is not there")
        pid = self._builder(connection, relid, execution_id)
        if pid is not None:
            progress = progress_of(connection, pid, relid)
            phase = progress.phase if progress else "no progress is shown"
            return Observed("building", f"process {pid}: {phase}", pid, progress)
        (schema, _table) = approved.rendered.relations[0]
        index = row(connection, "index_named", {"schema": schema, "name": approved.rendered.object_name})
        return _as_approved(index, approved)

    def _builder(self, connection: Connection, relid: int, execution_id: str) -> int | None:
        """The backend at work for this execution. A holder of the table's lock that gives another name is another's."""
        ours = application_name(EXECUTING, execution_id)
        backend = row(connection, "executing_backend", {"application": ours})
        if backend is not None:
            return int(backend["pid"])
        params = {"namespace": LOCK_NAMESPACE, "relid": relid}
        holder = row(connection, "lock_holder", params)
        if holder is None or (holder["application"] or "").startswith(EXECUTING):
            return None
        return int(holder["pid"])

    def _lock_holder(self, connection: Connection, relid: int) -> int | None:
        holder = row(connection, "lock_holder", {"namespace": LOCK_NAMESPACE, "relid": relid})
        return None if holder is None else int(holder["pid"])

    def _relid(self, connection: Connection, approved: Approved[Action]) -> int | None:
        (schema, table) = approved.rendered.relations[0]
        relation = row(connection, "relation", {"schema": schema, "table": table})
        return None if relation is None else int(relation["relid"])

    def _read_back(self, approved: Approved[Action], execution_id: str, result: RunResult, *, wanted: str) -> RunResult:
        """A command's own success is not taken for it; the catalog is."""
        if result.status != "finished":
            return result
        try:
            seen = self.inspect(approved, execution_id)
        except Unreachable as error:
            return RunResult("unknown", error.why, result.started_at, self._clock(), result.notices)
        status: Status = "finished" if seen.kind == wanted else "failed"
        return RunResult(status, seen.detail, result.started_at, self._clock(), result.notices)

    def _refused(self, why: str) -> RunResult:
        return RunResult("failed", why, self._clock(), self._clock(), ())

    def _nothing_to_do(self, why: str) -> RunResult:
        return RunResult("finished", why, self._clock(), self._clock(), ())


def progress_of(connection: Connection, pid: int, relid: int) -> Progress | None:
    """What the server reports of a build on the table; None when it reports nothing."""
    found = row(connection, "build_progress", {"pid": pid, "relid": relid})
    if found is None:
        blocker = _blocker(connection, pid)
        return Progress("waiting for a lock", 0, 0, "none", None, blocker) if blocker is not None else None
    phase = found["phase"] or "hidden"
    done, total, unit = _counted(phase, found)
    percent = round(100.0 * min(done, total) / total, 1) if total else None
    return Progress(
        phase, done, total, unit, percent, found["current_locker_pid"] or _blocker(connection, found["pid"])
    )


def _blocker(connection: Connection, pid: int) -> int | None:
    found = row(connection, "blockers", {"pid": pid})
    return found["pids"][0] if found and found["pids"] else None


def _counted(phase: str, found: Mapping[str, Any]) -> tuple[int, int, Any]:
    """The counters that move in a phase (manual, "CREATE INDEX Progress Reporting"); while it sorts none does."""
    if phase.startswith("waiting"):
        return found["lockers_done"] or 0, found["lockers_total"] or 0, "lockers"
    if "loading tuples" in phase:
        return found["tuples_done"] or 0, found["tuples_total"] or 0, "tuples"
    if "scanning" in phase:
        return found["blocks_done"] or 0, found["blocks_total"] or 0, "blocks"
    return 0, 0, "none"


def _not_run_here(action: Action) -> str:
    """Of the closed set this executor runs what it can also adopt, read back and clean up after."""
    return f"{action.kind} is not run by this executor; it runs {CreateIndexConcurrently.kind} only: do it by hand"


def _as_approved(index: Mapping[str, Any] | None, approved: Approved[Action]) -> Observed:
    if index is None:
        return Observed("absent", "there is no such index, and nobody is building it")
    action = approved.action
    same = isinstance(action, CreateIndexConcurrently) and (
        (index["schema"], index["table"], tuple(index["columns"]), index["method"])
        == (action.schema, action.table, action.columns, action.method)
        and not index["unique"]
        and not index["partial"]
    )
    definition = index["definition"]
    if not same:
        return Observed(
            "elsewhere", f"an index of this name is not the approved one: {definition}", definition=definition
        )
    if index["valid"] and index["ready"]:
        return Observed("valid", f"valid and ready: {definition}", definition=definition)
    cost = "every write pays for it" if index["ready"] else "writes do not pay for it"
    return Observed("invalid", f"left INVALID, {cost}: {definition}", definition=definition)


def _ignore(_progress: Progress) -> None:
    """For who does not want to know."""
