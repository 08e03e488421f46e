"""What the executor's connection to a target takes and reports: terms, preflight, progress, result, what is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - from_data() reads the hints
from typing import Literal

from agent.database.value import Value

ClaimKind = Literal["run", "abandon"]
Phase = Literal["run", "rollback"]
Status = Literal["finished", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Preflight(Value):
    """Facts read again just before the claim. Not ok: nothing has been touched, and each refusal says what to do."""

    ok: bool
    refusals: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim(Value):
    """The row in the target that decides who may act; the first one stays."""

    approval_id: str
    phase: Phase
    part: int
    kind: ClaimKind
    execution_id: str


@dataclass(frozen=True, slots=True)
class Bounds(Value):
    """When a running fix is cancelled for what it does to others; approvers sign them with the rest.

    write_latency_ms: the mean time of writing statements, and write_latency_times what it was before; both have to be
    passed. A build itself makes writes up to 5 times as slow in the median, at 400 a second on two cores, without
    anybody being held up (measured on 15). replication_lag_s: the slowest standby's, unless it was as far behind
    before. blocked_s: how long ordinary traffic may wait behind the fix for a lock.
    """

    write_latency_ms: int = 250
    write_latency_times: int = 20
    replication_lag_s: int = 60
    blocked_s: int = 5


@dataclass(frozen=True, slots=True)
class Statement(Value):
    """The statement a fix is for, by pg_stat_statements' queryid in decimal and the role that runs it.

    mean_us and calls are over the window in which it was found slow; 0 calls = it was seen running, not ending.
    """

    queryid: str
    user: str
    mean_us: int
    calls: int


@dataclass(frozen=True, slots=True)
class Terms(Value):
    """What the approved document says beside the action itself. statement None: the fix is for no one statement."""

    bounds: Bounds = Bounds()
    statement: Statement | None = None


@dataclass(frozen=True, slots=True)
class Progress(Value):
    """Where the server says it is. done and total count in unit within the phase.

    percent is of the whole, by how long each phase took when it was measured; it never goes back, stays below 100
    until the result was read back, and is None when the server does not say. blocked_by is the pid it waits for.
    """

    phase: str
    done: int
    total: int
    unit: Literal["blocks", "tuples", "lockers", "none"]
    percent: float | None
    blocked_by: int | None


@dataclass(frozen=True, slots=True)
class Counters(Value):
    """Cumulative counters of the target at one moment; a difference of two says what happened between them.

    calls and exec_ms are the statement's, None without a statement or when not visible. updates and hot_updates are
    the table's; index_scans those of the index that the fix made, None while there is none.
    """

    at: datetime
    calls: int | None
    exec_ms: float | None
    updates: int | None
    hot_updates: int | None
    index_scans: int | None


@dataclass(frozen=True, slots=True)
class Effect(Value):
    """What a fix did, by the target's own counters. advice: keep it, take it back, or nothing can be said yet.

    plan_uses_index None: no plan could be had. The two means are milliseconds of the statement; None: too few calls.
    hot_share is hot_updates / updates, None: too few updates.
    """

    advice: Literal["keep", "roll_back", "open"]
    summary: str
    plan_uses_index: bool | None
    calls_after: int
    mean_ms_before: float | None
    mean_ms_after: float | None
    hot_share_before: float | None
    hot_share_after: float | None
    index_scans: int | None
    not_visible: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunResult(Value):
    """How a run ended.

    finished: read back from the catalog, not from a return code. failed: the server said so, and detail has it.
    unknown: the connection broke; only inspect() can tell. before: counters as it began, for the effect.
    """

    status: Status
    detail: str
    started_at: datetime
    finished_at: datetime
    notices: tuple[str, ...]
    before: Counters | None = None


@dataclass(frozen=True, slots=True)
class Observed(Value):
    """What the target shows of an approved action.

    building: the server is at it, whoever started it. valid: it has taken effect as approved. invalid: half of it is
    there, and the approved cleanup removes it. elsewhere: something stands in its place that is not what was approved,
    or it cannot be seen. absent: it has no effect, and nobody is at it.
    """

    kind: Literal["building", "valid", "invalid", "absent", "elsewhere"]
    detail: str
    pid: int | None = None
    progress: Progress | None = None
    definition: str | None = None
