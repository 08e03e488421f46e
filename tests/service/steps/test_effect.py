from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from agent.incident import IncidentState
from connectors.target.memory import HELPED
from connectors.unreachable import Unreachable
from service.steps import effect, execute
from tests.service.incident_world import CONFIGURATION, ports_of
from tests.service.steps.test_execute import Case, Target, authorised, rollback_of

if TYPE_CHECKING:
    from typing import Any

    from service.steps.runner import Runner
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

USELESS = replace(HELPED, advice="roll_back", summary="the fix did not make the statement faster", mean_ms_after=499.0)
EARLY = replace(HELPED, advice="open", summary="not enough calls since the fix", calls_after=3, mean_ms_after=None)


@pytest.fixture
def case(world: World) -> Case:
    found = authorised(world, Target())
    found.run()
    return found


def executor(case: Case) -> Runner:
    ports = ports_of(case.world.executor({}).store, case.target, CONFIGURATION)
    return case.world.executor({"execute": execute.execute(ports), "effect": effect.effect(ports)})


def looks(case: Case) -> list[int]:
    return [step for step, _ in case.world.steps(case.number, "effect")]


def look(case: Case) -> None:
    newest = looks(case)[-1]
    case.world.hurry(newest)
    assert executor(case).run(newest)


def told(case: Case) -> list[dict[str, Any]]:
    return [row for row in case.world.rows("evidence", incident=case.number) if row["name"] == "effect"]


def test_what_a_fix_changed_is_kept_as_evidence(case: Case) -> None:
    assert len(looks(case)) == 1
    look(case)
    (row,) = told(case)
    assert (row["status"], row["summary"]) == ("note", "the statement is faster")
    assert orjson.loads(bytes(row["body"]))["mean_ms_after"] == HELPED.mean_ms_after
    assert case.world.incident(case.number).state is IncidentState.VERIFYING


def test_a_fix_that_did_not_help_is_offered_back_with_its_command(case: Case) -> None:
    case.target.effects = [USELESS]
    look(case)
    (row,) = told(case)
    assert "to take it back: DROP INDEX CONCURRENTLY" in row["summary"]
    assert case.target.ran == 1
    assert not any("DROP" in sent for sent in case.target.sent)


def test_too_few_calls_are_waited_for_a_while_and_then_said(case: Case) -> None:
    case.target.effects = [EARLY]
    for _ in range(effect.LOOKS):
        assert told(case) == []
        look(case)
    assert len(looks(case)) == effect.LOOKS
    assert [row["summary"] for row in told(case)] == ["not enough calls since the fix"]


def test_a_target_that_is_away_is_a_gap_and_nothing_worse(case: Case) -> None:
    case.target.unreachable = Unreachable("target shop", "connection refused")
    look(case)
    (row,) = told(case)
    assert row["status"] == "not_visible"
    assert case.world.incident(case.number).state is IncidentState.VERIFYING


def test_a_fix_that_was_rolled_back_meanwhile_has_no_effect_to_look_at(world: World) -> None:
    back = rollback_of(authorised(world, Target()))
    back.run()
    look(back)
    assert told(back) == []


def test_a_run_that_failed_is_not_looked_at(world: World) -> None:
    case = authorised(world, Target(ends_as="failed"))
    case.run()
    assert looks(case) == []
