"""From a verified fix to what is kept of it: the sweep, the postmortem with its log, the case and its lessons."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agent.brain.beliefs import posterior
from agent.events import VerificationSampled
from agent.incident import Answered, Conclusion, IncidentState, Working
from connectors.store.store import dumps
from connectors.target.memory import MemoryTarget
from connectors.unreachable import Unreachable
from service.steps import postmortem, remember, siblings
from service.steps.runner import MAX_ATTEMPTS, Runner
from tests.agent.database.examples import ORDERS, orders_with
from tests.connectors.store.database import AGENT
from tests.service.incident_world import CONFIGURATION, SKILL, SKILLS, ports_of
from tests.service.steps.test_execute import Target, authorised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.ports import TargetReader
    from service.ports import Ports
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

TWO = CONFIGURATION.model_copy(
    update={"targets": {**CONFIGURATION.targets, "shop-eu": CONFIGURATION.targets["shop"].model_copy()}}
)
YES = ("slow_statement", "index_would_help")


@dataclass
class Worker:
    """The agent's steps over targets that are in memory."""

    world: World
    ports: Ports
    runner: Runner

    def run(self, number: int, kind: str) -> None:
        step, _ = self.world.steps(number, kind)[-1]
        assert self.runner.run(step)
        state = self.world.step(step)
        assert state["state"] == "done", state


def worker(world: World, folder: Path, targets: dict[str, MemoryTarget], clock: Any = None) -> Worker:
    @contextmanager
    def reader(name: str) -> Iterator[TargetReader]:
        yield targets[name]

    ports = replace(ports_of(world.database.store(AGENT), configuration=TWO), data_dir=folder, reader=reader)
    handlers = {
        "sibling_sweep": siblings.sweep(ports, **({"clock": clock} if clock else {})),
        "postmortem": postmortem.postmortem(ports),
        "remember": remember.remember(ports),
    }
    return Worker(world, ports, Runner(ports.store, SKILLS, handlers, "worker"))


def payments() -> MemoryTarget:
    """Its orders have the index; its payments are read in full by the same column."""
    table = replace(ORDERS, table="payments")
    rows = tuple(
        {"relid": number, "schema": "public", "table": name, "seq_scan": 9, "seq_tup_read": 9_000_000,
         "live_rows": 1_000_000}
        for number, name in enumerate(("orders", "payments"))
    )  # fmt: skip
    known = {("public", "orders"): orders_with("customer_id"), ("public", "payments"): table}
    return MemoryTarget(tables=known, taken={"tables": rows})


def recovered(world: World) -> int:
    """An incident whose fix ran and was verified, with the evidence that led to it."""
    found = authorised(world, Target())
    found.run()
    number = found.number
    skill = SKILLS[SKILL]
    answered = {name: Answered("yes", f"{name} says yes", 1) for name in YES}
    beliefs = posterior(skill, answered)
    conclusion = Conclusion("missing_index", "Missing index", 0.95, 0.9, 0.96, "target")
    before = world.incident(number)
    working = replace(before.working, beliefs=beliefs, answered=answered, conclusion=conclusion)
    world.database.run(
        "UPDATE stanch.incident SET working = %s::jsonb, version = version + 1 WHERE id = %s",
        (dumps(working.as_data()), number),
    )
    step = world.add_step("check", number)
    for name in YES:
        world.database.run(
            "INSERT INTO stanch.evidence (incident_id, step_id, fence, name, tool, status, summary, body, sha256)"
            " VALUES (%s, %s, 1, %s, 'database', 'yes', %s, %s, %s)",
            (number, step, name, f"{name} says yes", orjson.dumps({"rows": [{"n": 1}, {"n": 2}]}), "ab" * 32),
        )
    world.apply(world.agent, number, VerificationSampled("recovered", "0.1 s", None, True))
    return number


def swept(world: World, number: int) -> dict[str, Any]:
    (row,) = [row for row in world.rows("evidence", incident=number) if row["name"] == "sibling_sweep"]
    return {**row, "body": json.loads(bytes(row["body"]))}


def test_from_a_verified_fix_to_a_case(world: World, tmp_path: Path) -> None:
    number = recovered(world)
    agent = worker(world, tmp_path, {"shop": payments(), "shop-eu": MemoryTarget()})
    assert world.steps(number, "postmortem") == []
    agent.run(number, "sibling_sweep")
    row = swept(world, number)
    assert row["status"] == "yes"
    assert "public.payments (customer_id) on shop" in row["summary"]
    assert {one["where"] for one in row["body"]["siblings"]} == {"shop", "shop-eu"}

    agent.run(number, "postmortem")
    assert world.incident(number).state is IncidentState.CLOSED
    page = (tmp_path / "postmortems" / f"INC-{number}.md").read_text()
    assert "## The same elsewhere" in page
    assert "public.payments" in page
    log = (tmp_path / "sessions" / f"INC-{number}.md").read_text()
    assert "database:index_would_help" in log
    assert "missing_index" in log
    assert "## Self-critique" in log

    agent.run(number, "remember")
    (case,) = [one for one in world.rows("cases", limit=100) if one["body"]["incident"] == number]
    assert case["body"]["effect"] == "helped"
    assert "database:index_would_help" in case["body"]["found_by"]
    (lesson,) = [one["body"] for one in world.rows("lessons") if one["body"]["kind"] == "positive"]
    assert any(origin.startswith(f"INC-{number}@") for origin in lesson["support"])


def test_remembering_twice_counts_once(world: World, tmp_path: Path) -> None:
    number = recovered(world)
    agent = worker(world, tmp_path, {"shop": MemoryTarget(), "shop-eu": MemoryTarget()})
    for kind in ("sibling_sweep", "postmortem", "remember"):
        agent.run(number, kind)
    before = world.rows("lessons")
    world.add_step("remember", number)
    agent.run(number, "remember")
    after = world.rows("lessons")
    assert [row["body"]["support"] for row in before] == [row["body"]["support"] for row in after]


def test_what_an_earlier_incident_taught_is_shown_to_the_next_and_not_learned_again(
    fresh_world: World, tmp_path: Path
) -> None:
    agent = worker(fresh_world, tmp_path, {"shop": MemoryTarget(), "shop-eu": MemoryTarget()})
    first = recovered(fresh_world)
    for kind in ("sibling_sweep", "postmortem", "remember"):
        agent.run(first, kind)
    second = recovered(fresh_world)
    agent.run(second, "sibling_sweep")
    agent.run(second, "postmortem")
    row = fresh_world.one("postmortem", incident=second)
    assert row is not None
    (seen,) = row["body"]["recalled"]["incidents"]
    assert seen["incident"] == first
    assert row["body"]["recalled"]["hypotheses"][0]["missed"] == []
    agent.run(second, "remember")
    (case,) = [one["body"] for one in fresh_world.rows("cases", limit=9) if one["body"]["incident"] == second]
    assert case["recalled"] == [seen["origin_id"]]
    assert f"INC-{first}" not in json.dumps({**case, "recalled": None})


def test_a_target_that_is_away_is_a_gap_and_nothing_worse(world: World, tmp_path: Path) -> None:
    away = MemoryTarget(unreachable=Unreachable("target shop-eu", "connection refused"))
    number = recovered(world)
    agent = worker(world, tmp_path, {"shop": MemoryTarget(), "shop-eu": away})
    agent.run(number, "sibling_sweep")
    row = swept(world, number)
    assert row["status"] == "no"
    (gap,) = [one for one in row["body"]["siblings"] if one["where"] == "shop-eu"]
    assert (gap["status"], "connection refused" in gap["summary"]) == ("not_visible", True)
    assert world.steps(number, "postmortem")


def test_when_every_target_is_away_the_sweep_saw_nothing_and_says_so(world: World, tmp_path: Path) -> None:
    away = MemoryTarget(unreachable=Unreachable("target", "connection refused"))
    number = recovered(world)
    worker(world, tmp_path, {"shop": away, "shop-eu": away}).run(number, "sibling_sweep")
    assert swept(world, number)["status"] == "not_visible"
    assert world.steps(number, "postmortem")


def test_a_sweep_begins_no_target_after_its_time(world: World, tmp_path: Path) -> None:
    times = iter([0.0, 0.0, siblings.SWEEP_S + 1, siblings.SWEEP_S + 2])
    number = recovered(world)
    agent = worker(world, tmp_path, {"shop": MemoryTarget()}, clock=lambda: next(times))
    agent.run(number, "sibling_sweep")
    assert swept(world, number)["body"]["unseen"] == ["shop-eu"]


def test_a_sweep_that_gives_up_leaves_the_postmortem_to_be_written(world: World, tmp_path: Path) -> None:
    number = recovered(world)
    agent = worker(world, tmp_path, {})
    ((step, _),) = world.steps(number, "sibling_sweep")
    world.database.run("UPDATE stanch.step SET attempts = %s WHERE id = %s", (MAX_ATTEMPTS, step))
    assert agent.runner.run(step)
    assert world.step(step)["state"] == "failed"
    agent.run(number, "postmortem")
    assert world.incident(number).state is IncidentState.CLOSED


def test_a_postmortem_that_contradicts_itself_is_kept_and_teaches_nothing(world: World, tmp_path: Path) -> None:
    number = recovered(world)
    agent = worker(world, tmp_path, {"shop": MemoryTarget(), "shop-eu": MemoryTarget()})
    agent.run(number, "sibling_sweep")
    agent.run(number, "postmortem")
    world.database.run(
        "UPDATE stanch.postmortem SET body = jsonb_set(body, '{executions}', '[]') WHERE incident_id = %s", (number,)
    )
    agent.run(number, "remember")
    assert not [one for one in world.rows("cases", limit=100) if one["body"]["incident"] == number]
    assert "NotRemembered" in world.audit(number)


def test_an_incident_that_is_not_over_teaches_nothing(world: World, tmp_path: Path) -> None:
    number = world.investigating()
    world.add_step("remember", number)
    worker(world, tmp_path, {}).run(number, "remember")
    assert not [one for one in world.rows("cases", limit=100) if one["body"]["incident"] == number]


def test_working_state_with_what_is_under_way_survives_the_store(world: World) -> None:
    number, approval, _ = world.awaiting()
    working = world.incident(number).working
    assert [(one.kind, one.id) for one in working.in_flight] == [("approval", approval)]
    assert [(one.id, one.state) for one in working.approvals] == [(approval, "pending")]
    assert Working.from_data(json.loads(dumps(working.as_data()))) == working
