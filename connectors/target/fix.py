"""Runs approved actions on a target: claims them in the target itself, watches them, and says what is there.

Every kind of action lives the same life: preflight, claim, run, read back, and then cleanup or rollback. Three things
keep it to one run: the claim rows, object names that follow from the proposal, and a lock by table.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg.pq import TransactionStatus

from agent.database.execution import Claim, Counters, Effect, Observed, Preflight, Progress, RunResult, Terms
from connectors.target import effect, facts
from connectors.target.command import SETTINGS as COMMAND_SETTINGS
from connectors.target.command import Command, answered_nothing, lift_interruptions, tuning
from connectors.target.diagnose import read_identity
from connectors.target.progress import Course
from connectors.target.readback import Since, observed
from connectors.target.session import (
    HIDDEN_FROM_US,
    Connection,
    application_name,
    connect,
    row,
    rows,
    translated,
    verbatim,
)
from connectors.target.watchdog import Vitals, Watchdog, statements_schema, vitals
from connectors.unreachable import Unreachable
from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
from guardrails.policy import PRODUCTION, Policy
from guardrails.preflight import preflight
from guardrails.server_action import (
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.sql.lock import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import DictRow

    from agent.database.execution import ClaimKind, Phase, Status
    from agent.database.snapshot import TargetIdentity
    from guardrails.action import Action
    from guardrails.approved import Approved
    from guardrails.index_action import Connection as ConnectionKind

EXECUTING = "stanch-exec:"
APPLICATION = "stanch-fix"
SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "500ms",
    "search_path": "pg_catalog",
    # The signal role usually only reads; it claims too.
    "default_transaction_read_only": "off",
    # A claim that a crash of the target could forget is no claim.
    "synchronous_commit": "on",
    # As connectors.target.planned wants it.
    "plan_cache_mode": "force_generic_plan",
}
LOCK_NAMESPACE = 0x53544E43
"""First key of the advisory lock ("STNC"); the second is the table's oid, and the database is part of the lock."""
POLL_S = 0.5
WATCH_EVERY_S = 1.0
"""Between two looks of the watchdog, which reads every entry of pg_stat_statements."""
TABLE_WAIT_S = 600.0
"""How long a run waits for another fix of ours on the same table before it gives up untouched."""
BLOCKED_LIMIT_S = 900.0
"""How long a running command may wait for one other session. There is no lock_timeout, since each expiry leaves an
INVALID index; this ends it only when waiting has become worse than building again."""
ENDING_POLLS = 25
ENDING_POLL_S = 0.2
"""How long an ended command's session may take to disappear from the server before we go on regardless."""
READ_BACK_S = 5.0
"""How long an effect may take to show: a signal to be taken, a reload to be read, statistics to be reported."""
SILENCE_LIMIT_S = 60.0
"""How long the target may leave our questions unanswered before the outcome is called unknown."""
_TOO_LATE = "the time to start has passed; nothing was done, ask for a new approval"
_NO_IDENTITY = "the target's identity was never read, so nobody can have approved it"
_NO_SIGNAL = "no signal was sent"
_BUILDS = (CreateIndexConcurrently, CreatePartitionedIndex, ReindexIndexConcurrently)
_ON_INDEXES = (*_BUILDS, DropIndexConcurrently)


class FixConnection:
    """The executor's hold on one target, under one of its roles. A control connection is kept; each command gets a
    connection of its own.

    identity() comes first: what admit() compared with the signed document is what run() insists on. Not to be shared
    between threads. Raises Unreachable and nothing else of its own; on_progress's exceptions pass through and leave the
    command running on the server, where inspect() finds it.
    """

    def __init__(
        self,
        dsn: str,
        name: str,
        *,
        role: ConnectionKind = "fix",
        policy: Policy | None = None,
        environment: str = PRODUCTION,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        blocked_limit_s: float = BLOCKED_LIMIT_S,
        table_wait_s: float = TABLE_WAIT_S,
        read_back_s: float = READ_BACK_S,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._role = role
        self._policy = policy or Policy()
        self._environment = environment
        self._clock = clock
        self._blocked_limit_s = blocked_limit_s
        self._table_wait_s = table_wait_s
        self._read_back_s = read_back_s
        self._control: Connection | None = None
        self._identity: TargetIdentity | None = None
        self._courses: dict[str, Course] = {}

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

    # --- Before ----------------------------------------------------------------------------------------------

    def preflight(self, approved: Approved[Action], *, recent_executions: int = 0) -> Preflight:
        action = approved.action
        if wrong_role := self._wrong_role(action):
            return Preflight(False, (wrong_role,), ())
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
            lacking = () if relid is None else facts.missing_rights(connection, relid, action)
            lacking += facts.missing_server_rights(connection, action, seen.server_version_num)
            builds = str(tuning(connection)) if isinstance(action, _BUILDS) else ""
        found = preflight(action, approved.rendered, seen, self._policy)
        refusals = [f"{finding.why}; {finding.fix}" for finding in found if finding.level == "refuse"]
        notes = [f"{finding.why}; {finding.fix}" for finding in found if finding.level != "refuse"]
        refusals += lacking
        if holder is not None:
            refusals.append(f"process {holder} holds the table for another fix; wait for it to finish")
        notes += [f"{gap.what} not visible: {gap.why}" for gap in not_visible]
        return Preflight(not refusals, tuple(refusals), (*notes, *filter(None, (builds,))))

    def claim(self, approval_id: str, phase: Phase, part: int, kind: ClaimKind, execution_id: str) -> bool:
        """When the connection breaks meanwhile, claimed() tells who was first."""
        with translated(self._name):
            return _claim(self._open(), approval_id, phase, part, kind, execution_id)

    def claimed(self, approval_id: str, phase: Phase, part: int = 0) -> Claim | None:
        with translated(self._name):
            found = row(self._open(), "claimed", {"approval_id": approval_id, "phase": phase, "part": part})
        return Claim(**found) if found else None

    # --- Run -------------------------------------------------------------------------------------------------

    def run(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        terms: Terms | None = None,
    ) -> RunResult:
        """Sends the approved steps, each exactly as approved, then reads back what is there."""
        refusal = self._wrong_role(approved.action) or self._not_claimed(approved, "run", execution_id)
        if refusal is None and self._clock() >= approved.start_by:
            refusal = _TOO_LATE
        if refusal is not None:
            return self._refused(refusal)
        before = self._counters(approved, terms or Terms())
        result, answers = self._execute(approved, "run", approved.rendered.steps, execution_id, on_progress, terms)
        if result.status == "finished":
            result = self._read_back(approved, execution_id, result, frozenset({"valid"}), _told(approved, answers))
        return RunResult(
            result.status, result.detail, result.started_at, result.finished_at, result.notices, before=before
        )

    def inspect(self, approved: Approved[Action], execution_id: str) -> Observed:
        with translated(self._name):
            return self._observed(self._open(), approved, execution_id)

    def clean(self, approved: Approved[Action], execution_id: str) -> RunResult:
        seen = self.inspect(approved, execution_id)
        if seen.kind == "absent":
            return self._nothing_to_do("nothing was left behind")
        if seen.kind != "invalid":
            return self._refused(f"only what is half done is cleaned up, and this is {seen.kind}: {seen.detail}")
        with translated(self._name):
            connection = self._open()
            last = len(approved.rendered.steps) - 1
            if last:
                params = {"approval_id": approved.approval_id, "phase": "run", "execution_id": execution_id}
                rows(connection, "abandon_parts", {**params, "last": last})
            steps = _cleanup_steps(connection, approved)
        result, _ = self._execute(approved, None, steps, execution_id, _ignore)
        return self._read_back(approved, execution_id, result, frozenset({"absent", "valid"}))

    def roll_back(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunResult:
        refusal = self._wrong_role(approved.action) or self._not_claimed(approved, "rollback", execution_id)
        if refusal is None and not approved.rendered.rollback_steps:
            refusal = f"{approved.action.kind} cannot be undone"
        if refusal is not None:
            return self._refused(refusal)
        seen = self.inspect(approved, execution_id)
        if seen.kind == "invalid":
            cleaned = self.clean(approved, execution_id)
            if cleaned.status != "finished":
                return cleaned
            seen = self.inspect(approved, execution_id)
        if seen.kind == "absent":
            return self._nothing_to_do("it is gone already")
        if seen.kind != "valid":
            return self._refused(f"not rolled back: {seen.detail}")
        steps = approved.rendered.rollback_steps
        result, _ = self._execute(approved, "rollback", steps, execution_id, on_progress or _ignore)
        result = self._read_back(approved, execution_id, result, frozenset({"absent"}))
        if result.status == "failed" and self.inspect(approved, execution_id).kind == "invalid":
            cleaned = self.clean(approved, execution_id)
            return self._failed(result, f"{result.detail}; remains: {cleaned.detail}")
        return result

    # --- After -----------------------------------------------------------------------------------------------

    def effect(self, approved: Approved[Action], before: Counters, terms: Terms) -> Effect:
        """What has changed since `before`, which run() returned."""
        with translated(self._name):
            return effect.effect(self._open(), approved, terms, before)

    # --- One command -----------------------------------------------------------------------------------------

    def _open(self) -> Connection:
        if self._control is None or self._control.closed:
            self._control = connect(self._dsn, self._name, APPLICATION, SETTINGS)
        return self._control

    def _wrong_role(self, action: Action) -> str | None:
        if action.connection == self._role:
            return None
        return f"{action.kind} runs as the {action.connection} role, and this connection is the {self._role} role's"

    def _not_claimed(self, approved: Approved[Action], phase: Phase, execution_id: str) -> str | None:
        """No claim, no run: at most once is decided in the target."""
        if self._identity is None:
            return _NO_IDENTITY
        claim = self.claimed(approved.approval_id, phase)
        if claim is not None and (claim.kind, claim.execution_id) == ("run", execution_id):
            return None
        return f"the target holds no claim of this execution for the {phase}; nothing was done"

    def _counters(self, approved: Approved[Action], terms: Terms) -> Counters | None:
        """Only for what is told afterwards, so what cannot be read is no reason not to run."""
        with contextlib.suppress(Unreachable), translated(self._name):
            return effect.counters(self._open(), approved, terms)
        return None

    def _execute(
        self,
        approved: Approved[Action],
        phase: Phase | None,
        steps: tuple[str, ...],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        terms: Terms | None = None,
    ) -> tuple[RunResult, list[list[DictRow]]]:
        """A phase of None is the cleanup, which may be done again and again and so claims nothing."""
        started_at = self._clock()
        with translated(self._name):
            relids = self._relids(self._open(), approved)
            if relids is None:
                return self._refused("the table is not there any more; nothing was done"), []
            application = application_name(EXECUTING, execution_id)
            executing = connect(self._dsn, self._name, application, COMMAND_SETTINGS)
        try:
            with translated(self._name):
                objection = self._objection(executing) or self._lock(executing, relids, on_progress)
                send = _transport(executing, approved.action)
                if isinstance(approved.action, _BUILDS):
                    tuning(executing).apply(executing)
            if objection is None and phase == "run" and self._clock() >= approved.start_by:
                objection = _TOO_LATE
            if objection is not None:
                return self._refused(objection), []
            command = Command(executing, steps, send=send, may_go_on=_claims(approved.approval_id, phase, execution_id))
            watch = self._watchdog(approved, terms or Terms()) if phase is not None else None
            command.start()
            course = self._courses.setdefault(execution_id, Course(approved))
            outcome = self._watch(command, course, relids, watch, on_progress)
        finally:
            self._release(executing, application)
        return RunResult(*outcome, started_at, self._clock(), command.notices), command.answers

    def _release(self, executing: Connection, application: str) -> None:
        """Ends the session so that inspect() no longer takes it for one at work: a server's session outlives its
        client, and its own last error, by a moment. One that is still at work is left alone, since closing our end
        would not stop it.
        """
        if not executing.closed and executing.info.transaction_status is TransactionStatus.ACTIVE:
            return
        with contextlib.suppress(psycopg.Error, Unreachable):
            if not executing.closed:
                rows(executing, "unlock", {"application": APPLICATION})
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
            return _NO_IDENTITY
        if (here.system_identifier, here.database) != (self._identity.system_identifier, self._identity.database):
            return "the connection now leads to another server or database than the approved one; nothing was done"
        return "the server is a standby; connect to the primary" if here.in_recovery else None

    def _lock(
        self, executing: Connection, relids: tuple[int, ...], on_progress: Callable[[Progress], None]
    ) -> str | None:
        """All tables in one order, and never the blocking form: a session that waits in it makes the build it waits for
        deadlock.
        """
        give_up_at = time.monotonic() + self._table_wait_s
        for relid in sorted(relids):
            while not _locked(executing, relid):
                holder = self._lock_holder(self._open(), relid)
                if time.monotonic() >= give_up_at:
                    waited = f"{self._table_wait_s:.0f} s"
                    return f"process {holder} held the table for another fix for {waited}; nothing was done"
                on_progress(Progress("waiting for another fix on the table", 0, 0, "none", None, holder))
                time.sleep(POLL_S)
        return None

    def _watchdog(self, approved: Approved[Action], terms: Terms) -> _Watch | None:
        """None for what takes no time. What the target was like before is looked at now."""
        if approved.action.strongest < Mode.SHARE_UPDATE_EXCLUSIVE:
            return None
        with contextlib.suppress(Unreachable), translated(self._name):
            connection = self._open()
            schema = statements_schema(connection)
            try:
                before = vitals(connection, 0, schema)
            except HIDDEN_FROM_US:  # a server that lets nobody read pg_stat_statements still shows who waits
                schema, before = None, vitals(connection, 0, None)
            return _Watch(Watchdog(terms.bounds, before), schema)
        return None

    def _watch(
        self,
        command: Command,
        course: Course,
        relids: tuple[int, ...],
        watch: _Watch | None,
        on_progress: Callable[[Progress], None],
    ) -> tuple[Status, str]:
        """Until the command ends: progress twice a second. Ends what waits, or makes others wait, too long."""
        last: Progress | None = None
        blocked_since: float | None = None
        silent_since = looked_at = time.monotonic()
        while not command.ended(POLL_S):
            now = time.monotonic()
            try:
                with translated(self._name):
                    seen = course.now(self._open(), command.pid, relids[0] if relids else 0)
                silent_since = now
            except Unreachable as error:
                if now - silent_since > SILENCE_LIMIT_S:
                    return "unknown", f"the target has not answered for {SILENCE_LIMIT_S:.0f} s: {error.why}"
                continue
            if watch is not None and now - looked_at >= WATCH_EVERY_S:
                looked_at = now
                # What cannot be looked at any more is no sign that the target is gone: progress was just read.
                with contextlib.suppress(Unreachable), translated(self._name):
                    watch.look(self._open(), command)
            blocked_since = (blocked_since or now) if seen is not None and seen.blocked_by else None
            if blocked_since is not None and now - blocked_since > self._blocked_limit_s:
                command.cancel("after waiting too long for another session")
            if seen is not None and seen != last:
                on_progress(seen)
                last = seen
        return command.outcome()

    # --- What is there ---------------------------------------------------------------------------------------

    def _observed(self, connection: Connection, approved: Approved[Action], execution_id: str) -> Observed:
        """First who is at it, then what is there: once nobody is at it any more, what is there stays so."""
        relid = self._relid(connection, approved)
        if relid is None and approved.rendered.relations:
            return Observed("absent", "the table is not there")
        pid = self._builder(connection, relid, execution_id)
        if pid is not None:
            course = self._courses.setdefault(execution_id, Course(approved))
            progress = course.now(connection, pid, relid or 0)
            phase = progress.phase if progress else "no progress is shown"
            return Observed("building", f"process {pid}: {phase}", pid, progress)
        claim = row(connection, "claim_moment", {"approval_id": approved.approval_id, "phase": "run"})
        return observed(connection, approved, Since(claim["at"], claim["xid"]) if claim else None)

    def _builder(self, connection: Connection, relid: int | None, execution_id: str) -> int | None:
        """The backend at work for this execution. A holder of the table's lock that gives another name is another's."""
        ours = application_name(EXECUTING, execution_id)
        backend = row(connection, "executing_backend", {"application": ours})
        if backend is not None:
            return int(backend["pid"])
        if relid is None:
            return None
        holder = row(connection, "lock_holder", {"namespace": LOCK_NAMESPACE, "relid": relid})
        if holder is None or (holder["application"] or "").startswith(EXECUTING):
            return None
        return int(holder["pid"])

    def _lock_holder(self, connection: Connection, relid: int) -> int | None:
        holder = row(connection, "lock_holder", {"namespace": LOCK_NAMESPACE, "relid": relid})
        return None if holder is None else int(holder["pid"])

    def _relid(self, connection: Connection, approved: Approved[Action]) -> int | None:
        """Of the action's own table; None when it is gone, or the action is about none."""
        if not approved.rendered.relations:
            return None
        return facts.relid_of(connection, *approved.rendered.relations[0])

    def _relids(self, connection: Connection, approved: Approved[Action]) -> tuple[int, ...] | None:
        """Of every table the action names, its own first; None when one is gone."""
        found = [facts.relid_of(connection, *relation) for relation in approved.rendered.relations]
        there = tuple(relid for relid in found if relid is not None)
        return there if len(there) == len(found) else None

    def _read_back(
        self,
        approved: Approved[Action],
        execution_id: str,
        result: RunResult,
        wanted: frozenset[str],
        told: str = "",
    ) -> RunResult:
        """A command's own success is not taken for it; the catalog is."""
        if result.status != "finished":
            return result
        at_once = isinstance(approved.action, _ON_INDEXES) or told.startswith(_NO_SIGNAL)
        until = time.monotonic() + (0.0 if at_once else self._read_back_s)
        try:
            seen = self.inspect(approved, execution_id)
            while seen.kind not in wanted and time.monotonic() < until:
                time.sleep(ENDING_POLL_S)
                seen = self.inspect(approved, execution_id)
        except Unreachable as error:
            return RunResult("unknown", error.why, result.started_at, self._clock(), result.notices)
        detail = "; ".join(filter(None, (told, seen.detail)))
        if seen.kind in wanted:
            return RunResult("finished", detail, result.started_at, self._clock(), result.notices)
        return self._failed(result, "; ".join((detail, *result.notices)))

    def _failed(self, result: RunResult, detail: str) -> RunResult:
        return RunResult("failed", detail, result.started_at, self._clock(), result.notices)

    def _refused(self, why: str) -> RunResult:
        return RunResult("failed", why, self._clock(), self._clock(), ())

    def _nothing_to_do(self, why: str) -> RunResult:
        return RunResult("finished", why, self._clock(), self._clock(), ())


class _Watch:
    """The watchdog with what it needs to look."""

    def __init__(self, dog: Watchdog, schema: str | None) -> None:
        self._dog = dog
        self._schema = schema

    def look(self, connection: Connection, command: Command) -> None:
        seen: Vitals = vitals(connection, command.pid, self._schema)
        objection = self._dog.objection(seen)
        if objection is not None:
            command.cancel(objection)


def _claim(
    connection: Connection, approval_id: str, phase: Phase, part: int, kind: ClaimKind, execution_id: str
) -> bool:
    params = {"approval_id": approval_id, "phase": phase, "part": part, "kind": kind, "execution_id": execution_id}
    return row(connection, "claim", params) is not None


def _claims(approval_id: str, phase: Phase | None, execution_id: str) -> Callable[[Connection, int], str | None]:
    """Each step but the first is claimed as a part of its own, in the session that runs it."""

    def may_go_on(connection: Connection, part: int) -> str | None:
        if phase is None or _claim(connection, approval_id, phase, part, "run", execution_id):
            return None
        return "the rest was given up by another executor meanwhile"

    return may_go_on


def _locked(executing: Connection, relid: int) -> bool:
    answer = row(executing, "try_lock", {"namespace": LOCK_NAMESPACE, "relid": relid})
    return bool(answer and answer["locked"])


def _transport(executing: Connection, action: Action) -> Callable[[Connection, str], list[DictRow]]:
    """How the approved text reaches the server: as it is, or through the fence's function where the role itself may
    not do it. Only the owner of a prepared transaction may end it, so its role is taken on.
    """
    if isinstance(action, RollbackPrepared):
        found = row(executing, "prepared_named", {"gid": action.identifier})
        if found and found["member"] and not found["own"]:
            rows(executing, "become", {"role": found["owner"]})
    if isinstance(action, SetRoleSetting | DropReplicationSlot):
        performs = row(executing, "may_perform")
        superuser = row(executing, "may_alter_system")
        if performs and performs["allowed"] and not (superuser and superuser["superuser"]):
            return lambda connection, step: rows(connection, "perform", {"command": step})
    return verbatim


def _told(approved: Approved[Action], answers: list[list[DictRow]]) -> str:
    """What the answer of a signal adds: whether there was anybody to send it to."""
    if not isinstance(approved.action, CancelBackend | TerminateBackend):
        return ""
    if answered_nothing(answers):
        return f"{_NO_SIGNAL}: the session is gone, does something else by now, or is protected"
    return "the signal was sent"


def _cleanup_steps(connection: Connection, approved: Approved[Action]) -> tuple[str, ...]:
    """Of the approved cleanup what there is something to do for. An index that REINDEX left is dropped only while it
    is INVALID: a valid one of that name is somebody's.
    """
    rendered = approved.rendered
    if not rendered.left_over:
        return rendered.cleanup_steps
    found = rows(connection, "indexes_by_name", {"schema": approved.action.schema, "names": list(rendered.left_over)})
    rebuilt = isinstance(approved.action, ReindexIndexConcurrently)
    there = {index["name"] for index in found if not (rebuilt and index["valid"])}
    named = zip(rendered.left_over, rendered.cleanup_steps, strict=True)
    return tuple(step for name, step in named if name in there)


def _ignore(_progress: Progress) -> None:
    """For who does not want to know."""
