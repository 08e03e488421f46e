"""What the executor's connection to a target reports: preflight, progress, result, what is there after a crash."""

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
class Progress(Value):
    """Where the server says it is. done and total count in unit within the phase; percent is within the phase too.

    percent None: the server does not know, as while it sorts or waits. blocked_by is the pid it waits for.
    """

    phase: str
    done: int
    total: int
    unit: Literal["blocks", "tuples", "lockers", "none"]
    percent: float | None
    blocked_by: int | None


@dataclass(frozen=True, slots=True)
class RunResult(Value):
    """How a run ended.

    finished: read back from the catalog, not from a return code. failed: the server said so, and detail has it.
    unknown: the connection broke; only inspect() can tell.
    """

    status: Status
    detail: str
    started_at: datetime
    finished_at: datetime
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed(Value):
    """What the target shows of an approved action.

    building: the server is at it, whoever started it. valid and invalid: an index of our name. elsewhere: an index
    of our name that is not what was approved, or an equal one of another name. absent: nothing, and nobody at it.
    """

    kind: Literal["building", "valid", "invalid", "absent", "elsewhere"]
    detail: str
    pid: int | None = None
    progress: Progress | None = None
    definition: str | None = None
