from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from agent.database.execution import Claim, Observed, Preflight, Terms
from agent.incident import IncidentState, Outcome
from connectors.target.memory import IDENTITY, MemoryTarget
from connectors.unreachable import Unreachable
from service.steps import execute
from service.steps.approve import Taken, take
from tests.connectors.store.database import EXECUTOR
from tests.service.incident_world import CONFIGURATION, KEY, World, ask, ports_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.database.execution import Progress, RunResult
    from connectors.store.store import Row
    from guardrails.action import Action
    from guardrails.approved import Approved
    from service.configuration import Configuration
    from service.steps.runner import Runner

pytestmark = pytest.mark.integration

VALID = Observed("valid", "valid and ready")
INVALID = Observed("invalid", "left INVALID")
BUILDING = Observed("building", "by another session", 4711)


@dataclass
class Target(MemoryTarget):
    """Also remembers whether it was asked to run, and what preflight was told. looks: answers of inspect in turn."""

    ran: int = 0
    recent: list[int] = field(default_factory=list)
    looks: list[Observed] = field(default_factory=list)

    def run(
        self,
        approved: Approved[Action],
        execution_id: str,
        on_progress: Callable[[Progress], None],
        terms: Terms | None = None,
    ) -> RunResult:
        self.ran += 1
        return super().run(approved, execution_id, on_progress, terms)

    def preflight(self, approved: Approved[Action], *, recent_executions: int = 0) -> Preflight:
        self.recent.append(recent_executions)
        return super().preflight(approved, recent_executions=recent_executions)

    def inspect(self, approved: Approved[Action], execution_id: str) -> Observed:
        if self.looks:
            self.observed = self.looks.pop(0)
        return super().inspect(approved, execution_id)


@dataclass
class Case:
    """One authorised execution with its step."""

    world: World
    number: int
    approval: str
    execution: str
    step: int
    target: Target

    def run(self, step: int | None = None, configuration: Configuration = CONFIGURATION) -> None:
        assert self.executor(configuration).run(step or self.step)

    def executor(self, configuration: Configuration = CONFIGURATION) -> Runner:
        runner = self.world.executor({})
        handler = execute.execute(ports_of(runner.store, self.target, configuration))
        return self.world.executor({"execute": handler})

    def row(self) -> Row:
        row = self.world.one("execution", id=self.execution)
        assert row is not None
        return row

    def ended(self) -> tuple[str, str]:
        row = self.row()
        return row["state"], row["result"]["detail"] if row["result"] else ""

    def mark(self, state: str) -> None:
        """As an executor left it that is gone: started, and perhaps more."""
        move = "UPDATE stanch.execution SET state = %s, version = version + 1, started_at = now() WHERE id = %s"
        for one in ("started", state) if state != "started" else (state,):
            self.world.database.run(move, (one, self.execution))

    def claim(self) -> None:
        key = (self.approval, "run", 0)
        self.target.claims[key] = Claim(self.approval, "run", 0, "run", self.execution)


@pytest.fixture
def case(world: World) -> Case:
    return authorised(world, Target())


def authorised(world: World, target: Target, **changes: Any) -> Case:
    number, approval, signed = world.awaiting(**changes)
    assert isinstance(take(world.api, CONFIGURATION.rules, KEY, approval, ask(signed)), Taken)
    (execution,) = world.rows("executions", incident=number)
    ((step, _),) = world.steps(number, "execute")
    return Case(world, number, approval, str(execution["id"]), step, target)


def test_what_was_authorised_runs_and_is_verified_next(case: Case) -> None:
    case.run()
    assert case.ended() == ("finished", "valid and ready")
    assert case.target.ran == 1
    (command,) = case.target.sent
    assert command.startswith("CREATE INDEX CONCURRENTLY st_")
    assert list(case.target.claims.values()) == [Claim(case.approval, "run", 0, "run", case.execution)]
    assert case.row()["progress"]["percent"] == 50.0
    assert case.world.incident(case.number).state is IncidentState.VERIFYING
    assert [state for _, state in case.world.steps(case.number, "verify")] == ["ready"]
    assert case.world.audit(case.number)[-3:] == ["ExecutionStarted", "Progress", "ExecutionEnded"]


def test_nothing_starts_while_it_is_paused(case: Case) -> None:
    case.world.database.run("UPDATE stanch.control SET paused = true, reason = 'failover'")
    case.run()
    case.world.database.run("UPDATE stanch.control SET paused = false, reason = null")
    state, detail = case.ended()
    assert (state, case.target.ran, case.target.claims) == ("aborted", 0, {})
    assert "paused: failover" in detail
    incident = case.world.incident(case.number)
    assert (incident.state, incident.outcome) == (IncidentState.NEEDS_HUMAN, Outcome.NO_ACTION)


_PARAMS = "UPDATE stanch.proposal SET params = params || jsonb_build_object('table', {}) WHERE incident_id = %s"
_PERMITS = "{} stanch.permit {} WHERE approval_id IN (SELECT id FROM stanch.approval WHERE incident_id = %s)"
SPOILED: dict[str, tuple[str, str]] = {
    "document": (
        """UPDATE stanch.proposal SET document = document || '{"rollback": ""}' WHERE incident_id = %s""",
        "digest",
    ),
    "params": (_PARAMS.format("'users'"), "differs"),
    "homoglyph": (_PARAMS.format("U&'\\043Erders'"), "differs"),  # a Cyrillic o
    "digest of both": (
        """WITH p AS (UPDATE stanch.proposal SET digest = repeat('0', 64) WHERE incident_id = %s RETURNING id)
        UPDATE stanch.approval a SET digest = repeat('0', 64), version = version + 1 FROM p
        WHERE a.proposal_id = p.id""",
        "digest",
    ),
    "permit gone": (_PERMITS.format("DELETE FROM", ""), "0 of 1 needed approvers signed"),
    "permit of another": (
        _PERMITS.format("UPDATE", "SET person = 'bob@example.com'"),
        "signature does not match",
    ),
    "later limit": (
        """UPDATE stanch.proposal SET document = jsonb_set(document, '{start_by}', '"2999-01-01T00:00:00Z"')
        WHERE incident_id = %s""",
        "digest",
    ),
    "another target": (
        "UPDATE stanch.proposal SET target = 'billing' WHERE incident_id = %s",
        "not a configured target",
    ),
    "unknown action": ("UPDATE stanch.proposal SET action = 'drop_table' WHERE incident_id = %s", "unknown action"),
}


@pytest.mark.parametrize("spoiled", list(SPOILED))
def test_what_was_changed_after_the_approval_is_not_admitted(case: Case, spoiled: str) -> None:
    statement, why = SPOILED[spoiled]
    case.world.database.run(statement, (case.number,))
    case.run()
    state, detail = case.ended()
    assert (state, case.target.ran, case.target.claims) == ("aborted", 0, {})
    assert detail.startswith("not admitted: ")
    assert why in detail
    assert case.world.audit(case.number)[-1] == "ExecutionEnded"


def test_an_execution_without_an_approved_approval_is_not_admitted(world: World) -> None:
    """As if the api role had written the execution by hand."""
    number, approval, _ = world.awaiting()
    with world.api.store.transaction() as tx:
        row = tx.one("add_execution", approval=approval, incident=number, phase="run")
    assert row is not None
    world.database.run("UPDATE stanch.incident SET state = 'executing', version = version + 1 WHERE id = %s", (number,))
    step = world.add_step("execute", number, "execute", execution=str(row["id"]))
    case = Case(world, number, approval, str(row["id"]), step, Target())
    case.run()
    assert case.ended() == ("aborted", "not admitted: the approval is pending")
    assert case.target.ran == 0


def test_another_database_under_the_same_name_is_not_touched(case: Case) -> None:
    case.target.target = replace(IDENTITY, system_identifier="1")
    case.run()
    assert case.ended()[0] == "aborted"
    assert "another target" in case.ended()[1]
    assert case.target.ran == 0


def test_the_executors_own_list_of_approvers_counts(case: Case) -> None:
    empty = CONFIGURATION.model_copy(update={"approvers": []})
    empty.__dict__.pop("rules", None)
    case.run(configuration=empty)
    assert case.ended()[0] == "aborted"
    assert case.target.ran == 0


def test_a_target_that_is_not_ready_is_left_alone(case: Case) -> None:
    case.target.refusals = ("a transaction is open for 300 s: end it first",)
    case.run()
    assert case.ended() == ("aborted", "the target is not ready: a transaction is open for 300 s: end it first")
    assert (case.target.ran, case.target.claims) == (0, {})


def test_the_preflight_is_told_how_much_was_changed_lately(fresh_world: World) -> None:
    """For the policy's rate limit: executions on this target alone, within its window."""
    first = authorised(fresh_world, Target())
    first.run()
    assert first.target.recent == [0]
    second = authorised(fresh_world, Target())
    second.run()
    assert second.target.recent == [1]
    fresh_world.database.run("UPDATE stanch.execution SET started_at = started_at - interval '2 hours'")
    third = authorised(fresh_world, Target())
    third.run()
    assert third.target.recent == [0]


def test_an_approval_that_the_target_has_seen_before_is_not_run_again(case: Case) -> None:
    """The store came back from a backup of before the run."""
    case.claim()
    case.run()
    assert case.ended() == ("failed", "the target says that this approval was run or given up before")
    assert case.target.ran == 0


def test_a_failed_run_is_cleaned_up(case: Case) -> None:
    case.target.ends_as = "failed"
    case.run()
    state, detail = case.ended()
    assert (state, detail) == ("failed", "canceling statement; remains removed: there is no such index")
    assert case.target.sent[-1].startswith("DROP INDEX CONCURRENTLY")
    assert case.world.incident(case.number).state is IncidentState.NEEDS_HUMAN


def test_a_broken_connection_is_unknown_until_the_target_was_looked_at(case: Case) -> None:
    case.target.ends_as = "unknown"
    case.run()
    assert case.row()["state"] == "unknown"
    assert case.world.incident(case.number).state is IncidentState.EXECUTING
    (_, first), (later, second) = case.world.steps(case.number, "execute")
    assert (first, second) == ("done", "ready")
    case.target.looks = [BUILDING, VALID]
    case.world.hurry(later)
    case.run(later)
    state, detail = case.ended()
    assert (state, detail) == ("finished", "adopted after a restart: valid and ready")
    assert case.target.ran == 1
    assert case.world.incident(case.number).state is IncidentState.VERIFYING


@pytest.mark.parametrize("state", ["started", "unknown"])
@pytest.mark.parametrize(
    ("looks", "end", "detail"),
    [
        ([BUILDING, BUILDING, VALID], "finished", "adopted after a restart: valid and ready"),
        ([VALID], "finished", "adopted after a restart: valid and ready"),
        ([INVALID], "failed", "broke midway; remains removed: there is no such index"),
        ([BUILDING, INVALID], "failed", "broke midway; remains removed: there is no such index"),
        ([Observed("absent", "nothing")], "failed", "it broke before it took any effect; nothing is left behind"),
        ([Observed("elsewhere", "it")], "failed", "something else stands where the fix should be: it"),
    ],
)
def test_a_restart_looks_and_never_starts_again(
    case: Case, state: str, looks: list[Observed], end: str, detail: str
) -> None:
    case.mark(state)
    case.claim()
    case.target.looks = list(looks)
    case.run()
    assert case.ended() == (end, detail)
    assert case.target.ran == 0
    expected = IncidentState.VERIFYING if end == "finished" else IncidentState.NEEDS_HUMAN
    assert case.world.incident(case.number).state is expected


def test_a_restart_before_the_claim_gives_the_approval_up(case: Case) -> None:
    case.mark("started")
    case.run()
    assert case.ended() == ("failed", "the executor died before it began; nothing was run")
    assert [claim.kind for claim in case.target.claims.values()] == ["abandon"]


def test_a_restart_with_a_tampered_document_does_not_touch_the_target(case: Case) -> None:
    case.mark("started")
    case.world.database.run(SPOILED["document"][0], (case.number,))
    case.run()
    assert case.target.sent == []
    assert case.world.incident(case.number).state is IncidentState.NEEDS_HUMAN


def test_a_restart_while_the_target_is_away_tries_again_later(case: Case) -> None:
    case.mark("started")
    case.claim()
    case.target.unreachable = Unreachable("target shop", "connection refused")
    case.run()
    assert case.row()["state"] == "started"
    assert case.world.step(case.step)["state"] == "ready"
    case.target.unreachable = None
    case.target.observed = VALID
    case.world.hurry(case.step)
    case.run()
    assert case.ended()[0] == "finished"
    assert case.target.ran == 0


def test_what_has_ended_is_told_again_and_not_run_again(case: Case) -> None:
    """Saved by a process that died before its step was done."""
    case.run()
    case.world.database.run("UPDATE stanch.step SET state = 'ready' WHERE id = %s", (case.step,))
    case.run()
    assert case.target.ran == 1
    assert case.world.step(case.step)["state"] == "done"
    assert case.ended()[0] == "finished"
    assert case.world.incident(case.number).state is IncidentState.VERIFYING


def test_two_executors_at_once_run_it_once(case: Case) -> None:
    case.run()
    another = case.world.add_step("execute", case.number, "execute", execution=case.execution)
    case.run(another)
    assert case.target.ran == 1


def rollback_of(case: Case) -> Case:
    case.run()
    step = case.world.add_step("authorise_rollback", case.number, "api")
    assert case.world.api.run(step)
    rollback = next(row for row in case.world.rows("executions", incident=case.number) if row["phase"] == "rollback")
    newest = case.world.steps(case.number, "execute")[-1][0]
    return replace(case, execution=str(rollback["id"]), step=newest)


def test_a_rollback_removes_the_index_under_its_own_claim(case: Case) -> None:
    back = rollback_of(case)
    back.run()
    assert back.ended() == ("rolled_back", "there is no such index")
    assert back.target.sent[-1].startswith("DROP INDEX CONCURRENTLY")
    assert {phase for _, phase, _ in back.target.claims} == {"run", "rollback"}
    incident = back.world.incident(back.number)
    assert (incident.state, incident.outcome) == (IncidentState.NEEDS_HUMAN, Outcome.REGRESSED)


@pytest.mark.parametrize(
    ("seen", "end"), [(Observed("absent", "gone"), "rolled_back"), (INVALID, "rolled_back"), (VALID, "failed")]
)
@pytest.mark.parametrize("state", ["started", "unknown"])
def test_a_rollback_is_adopted_too(case: Case, seen: Observed, end: str, state: str) -> None:
    back = rollback_of(case)
    back.mark(state)
    back.target.observed = seen
    back.run()
    assert back.ended()[0] == end
    assert back.target.ran == 1
    assert back.world.incident(back.number).outcome is Outcome.REGRESSED


def test_the_executors_role_cannot_authorise_what_it_runs(case: Case) -> None:
    for statement in (
        "INSERT INTO stanch.execution (approval_id, incident_id, phase) VALUES (gen_random_uuid(), 1, 'run')",
        "UPDATE stanch.approval SET state = 'approved', version = version + 1",
        "UPDATE stanch.proposal SET command = ''",
        "DELETE FROM stanch.permit",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            case.world.database.run(statement, role=EXECUTOR)


def test_a_role_without_a_dsn_is_named_and_nothing_is_started(case: Case) -> None:
    def writer(target: str, role: str = "fix") -> Any:
        raise Unreachable(f"target {target}", f"it has no {role}_dsn_file in stanch.yaml", permanent=True)

    runner = case.executor()
    handler = execute.execute(replace(ports_of(runner.store, case.target), writer=writer))
    assert case.world.executor({"execute": handler}).run(case.step)
    assert case.ended() == ("aborted", "not started: target shop: it has no fix_dsn_file in stanch.yaml")
    assert case.target.ran == 0


def test_what_was_signed_beside_the_command_reaches_the_target(case: Case) -> None:
    case.run()
    assert case.target.terms == Terms()


def test_remains_of_a_fix_that_is_whole_all_the_same_do_not_make_it_a_failure(case: Case) -> None:
    """A rebuild that broke after the new index had taken the old one's place."""
    case.target.ends_as = "failed"
    case.target.looks = [INVALID, INVALID, VALID]
    case.run()
    assert case.ended()[0] == "finished"
