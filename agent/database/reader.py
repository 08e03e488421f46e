"""The ports to a target: one that only reads, and one that takes nothing but approved actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.database.execution import (
        Claim,
        ClaimKind,
        Counters,
        Effect,
        Observed,
        Phase,
        Preflight,
        Progress,
        RunResult,
        Terms,
    )
    from agent.database.limits import Limits
    from agent.database.readings import Readings, Rows
    from agent.database.snapshot import (
        Activity,
        Comparison,
        InvalidIndex,
        NotVisible,
        Plan,
        TableFacts,
        TargetIdentity,
        WhatIf,
        Workload,
    )
    from guardrails.action import Action
    from guardrails.approved import Approved


class TargetReader(Protocol):
    """Reads a target under a role without rights to change it. Every method raises connectors' Unreachable only."""

    def identity(self) -> TargetIdentity: ...

    def workload(self, window_s: float) -> Workload:
        """Two snapshots window_s apart; returns after that time."""
        ...

    def activity(self) -> Activity: ...

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible: ...

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        """The generic plan of a normalised text with $1 parameters; user is who runs it, for unqualified names."""
        ...

    def what_if(
        self, query: str, schema: str, table: str, columns: Sequence[str], user: str | None = None
    ) -> WhatIf | NotVisible:
        """The plan with an index that does not exist. NotVisible without HypoPG."""
        ...

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible: ...

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        """Named readings, over a window where they need one; names are those of readings.READINGS."""
        ...

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        """One reading now, about the things that params name; for a follow_up."""
        ...

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        """A text with every table's schema, if it is one that may be planned; user is who runs it."""
        ...

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        """The plan made for these values of $1, $2 …, as text each; None is NULL."""
        ...

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        """Runs two texts without parameters over a few rows of each table. NotVisible when that was not possible."""
        ...


class TargetWriter(Protocol):
    """Runs approved actions on a target. Every method raises connectors' Unreachable when the target cannot answer."""

    def identity(self) -> TargetIdentity: ...

    def preflight(self, approved: Approved[Action], *, recent_executions: int = 0) -> Preflight:
        """recent_executions on this target are the store's to count, for the policy's rate limit."""
        ...

    def claim(self, approval_id: str, phase: Phase, part: int, kind: ClaimKind, execution_id: str) -> bool:
        """True for the one who may act; False when somebody ran or abandoned it before."""
        ...

    def claimed(self, approval_id: str, phase: Phase, part: int = 0) -> Claim | None: ...

    def run(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        terms: Terms | None = None,
    ) -> RunResult:
        """Only what this execution has claimed. terms None: the usual bounds, and no statement to look at."""
        ...

    def inspect(self, approved: Approved[Action], execution_id: str) -> Observed: ...

    def clean(self, approved: Approved[Action], execution_id: str) -> RunResult:
        """Removes what a failed run left, by the approved cleanup; refuses what is whole or still being done."""
        ...

    def roll_back(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunResult: ...

    def effect(self, approved: Approved[Action], before: Counters, terms: Terms) -> Effect:
        """What the fix changed since before it ran."""
        ...
