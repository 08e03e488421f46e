"""A target without a server, for the tests of other rooms: it answers what it was given and remembers what was done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.database.execution import Claim, Counters, Effect, Observed, Preflight, Progress, RunResult
from agent.database.readings import READINGS, Readings
from agent.database.snapshot import Activity, NotVisible, TargetIdentity, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.database.execution import ClaimKind, Phase, Terms
    from agent.database.limits import Limits
    from agent.database.readings import Rows
    from agent.database.snapshot import Comparison, InvalidIndex, Plan, TableFacts, WhatIf
    from connectors.unreachable import Unreachable
    from guardrails.action import Action
    from guardrails.approved import Approved

IDENTITY = TargetIdentity("shop", "7301234567890123456", "shop", 150018, in_recovery=False)
QUIET = Workload(3.0, (), (), 0.0, resets_detected=False, not_visible=())
IDLE = Activity({}, {}, (), 0, 97, ())
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = Counters(_EPOCH, 100, 50_000.0, 1_000, 900, None)
HELPED = Effect("keep", "the statement is faster", True, 50, 500.0, 2.0, 0.9, 0.88, 50, ())


@dataclass
class MemoryTarget:
    """Both ports. Set what it should answer; plans are by query text, what-ifs by columns.

    unreachable, when set, is raised by every method. ends_as is what a run comes to: "finished" leaves a valid index,
    "failed" an invalid one, "unknown" one that is still building until `observed` is set to something else.
    """

    target: TargetIdentity = IDENTITY
    sample: Workload = QUIET
    sessions: Activity = IDLE
    tables: Mapping[tuple[str, str], TableFacts] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    what_ifs: Mapping[tuple[str, ...], WhatIf] = field(default_factory=dict)
    invalid: tuple[InvalidIndex, ...] | NotVisible = ()
    taken: Mapping[str, Rows | NotVisible] = field(default_factory=dict)
    taken_before: Mapping[str, Rows | NotVisible] = field(default_factory=dict)
    value_plans: Mapping[tuple[str, tuple[str | None, ...]], Plan] = field(default_factory=dict)
    comparisons: Mapping[tuple[str, str], Comparison] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    ends_as: str = "finished"
    progress: tuple[Progress, ...] = (Progress("building index: scanning table", 50, 100, "blocks", 50.0, None),)
    unreachable: Unreachable | None = None
    observed: Observed = field(default_factory=lambda: Observed("absent", "there is no such index"))
    claims: dict[tuple[str, str, int], Claim] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    terms: Terms | None = None
    effects: list[Effect] = field(default_factory=lambda: [HELPED])

    def identity(self) -> TargetIdentity:
        self._answer()
        return self.target

    def workload(self, window_s: float) -> Workload:
        self._answer()
        return replace(self.sample, window_s=window_s)

    def activity(self) -> Activity:
        self._answer()
        return self.sessions

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible:
        self._answer()
        return self.tables.get((schema, table)) or NotVisible(
            f"table {schema}.{table}", "the catalog has no such table"
        )

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        self._answer()
        return self.plans.get(query) or NotVisible("the plan", f"not for {user}")

    def what_if(
        self, query: str, schema: str, table: str, columns: Sequence[str], user: str | None = None
    ) -> WhatIf | NotVisible:
        self._answer()
        known = self.what_ifs.get(tuple(columns))
        return known or NotVisible(f"the plan with an index on {schema}.{table}", f"no HypoPG for {user}: {query}")

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible:
        self._answer()
        return self.invalid

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        """Of `taken` and, for their deltas, `taken_before`; a reading not in them has no rows."""
        self._answer()
        return Readings(
            server_version_num=self.target.server_version_num,
            database=self.target.database,
            in_recovery=self.target.in_recovery,
            window_s=window_s,
            now={name: self.taken.get(name, ()) for name in names},
            before={name: self.taken_before.get(name, ()) for name in names if READINGS[name].twice},
            limits=limits,
        )

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        """Of `taken`, whatever the params."""
        self._answer()
        return self.taken.get(name, NotVisible(name, f"it has no rows for {sorted(params)}"))

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        self._answer()
        return query if query in self.plans else NotVisible("the plan", f"not for {user}")

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        """Of `value_plans` by text and values."""
        self._answer()
        known = self.value_plans.get((query, tuple(values)))
        return known or NotVisible("the plan for values", f"not for {user}")

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        self._answer()
        known = self.comparisons.get((query, rewritten))
        return known or NotVisible("the comparison on a sample", "it has parameters whose values are not known")

    def preflight(self, approved: Approved[Action], *, recent_executions: int = 0) -> Preflight:
        self._answer()
        notes = (f"{approved.action.kind} after {recent_executions} others",)
        return Preflight(not self.refusals, self.refusals, notes)

    def claim(self, approval_id: str, phase: Phase, part: int, kind: ClaimKind, execution_id: str) -> bool:
        self._answer()
        claim = Claim(approval_id, phase, part, kind, execution_id)
        return self.claims.setdefault((approval_id, phase, part), claim) is claim

    def claimed(self, approval_id: str, phase: Phase, part: int = 0) -> Claim | None:
        self._answer()
        return self.claims.get((approval_id, phase, part))

    def run(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        terms: Terms | None = None,
    ) -> RunResult:
        self._answer()
        self.terms = terms
        self.sent.extend(approved.rendered.steps)
        for progress in self.progress:
            on_progress(progress)
        match self.ends_as:
            case "finished":
                self.observed = Observed("valid", "valid and ready", definition=approved.rendered.command)
                return RunResult("finished", "valid and ready", _EPOCH, _EPOCH, (), BEFORE)
            case "failed":
                self.observed = Observed("invalid", "left INVALID", definition=approved.rendered.command)
                return RunResult("failed", "canceling statement", _EPOCH, _EPOCH, ())
            case _:
                self.observed = Observed("building", f"by {execution_id}", 4711, self.progress[-1])
                return RunResult("unknown", "the connection broke", _EPOCH, _EPOCH, ())

    def inspect(self, approved: Approved[Action], execution_id: str) -> Observed:  # noqa: ARG002 - the port's signature
        self._answer()
        return self.observed

    def clean(self, approved: Approved[Action], execution_id: str) -> RunResult:
        if self.inspect(approved, execution_id).kind in {"valid", "building", "elsewhere"}:
            return RunResult("failed", f"not cleaned: {self.observed.detail}", _EPOCH, _EPOCH, ())
        return self._removed(approved.rendered.cleanup_steps if self.observed.kind == "invalid" else ())

    def roll_back(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunResult:
        if self.inspect(approved, execution_id).kind in {"building", "elsewhere"}:
            return RunResult("failed", f"not rolled back: {self.observed.detail}", _EPOCH, _EPOCH, ())
        if on_progress is not None:
            for progress in self.progress:
                on_progress(progress)
        return self._removed(approved.rendered.rollback_steps if self.observed.kind != "absent" else ())

    def effect(self, approved: Approved[Action], before: Counters, terms: Terms) -> Effect:  # noqa: ARG002 - the port's
        """The next of `effects`; the last one stays."""
        self._answer()
        return self.effects.pop(0) if len(self.effects) > 1 else self.effects[0]

    def _removed(self, steps: tuple[str, ...]) -> RunResult:
        self.sent.extend(steps)
        self.observed = Observed("absent", "there is no such index")
        return RunResult("finished", self.observed.detail, _EPOCH, _EPOCH, ())

    def _answer(self) -> None:
        if self.unreachable is not None:
            raise self.unreachable
