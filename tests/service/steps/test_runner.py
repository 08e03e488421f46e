from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agent.events import StepFailed, Triaged
from agent.incident import IncidentState, Mode
from connectors.unreachable import Unreachable
from service.steps.runner import MAX_ATTEMPTS, Runner
from tests.connectors.store.database import AGENT
from tests.service.incident_world import SKILL, SKILLS, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.events import Event
    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.steps.runner import Handler, Held, Save

pytestmark = pytest.mark.integration


def nothing(_held: Held) -> Save:
    return lambda _tx: None


def noted(action: str) -> Save:
    """Leaves an audit row, so that a discarded save can be told from a kept one."""

    def save(tx: Transaction) -> Event | None:
        tx.audit(None, "test", action, {})
        return None

    return save


def runner(world: World, handlers: Mapping[str, Handler], **settings: float) -> Runner:
    """Another process of the agent, as far as the store can tell."""
    return Runner(world.database.store(AGENT, max_size=12), SKILLS, handlers, "worker", **settings)  # type: ignore[arg-type]


def times(world: World, action: str) -> int:
    ((count,),) = world.database.run("SELECT count(*) FROM stanch.audit WHERE action = %s", (action,))
    return int(count)


def test_of_many_who_want_a_step_one_runs_it(world: World) -> None:
    ran: list[int] = []

    def handle(held: Held) -> Save:
        ran.append(held.step.id)
        return nothing(held)

    both = [runner(world, {"one": handle}), runner(world, {"one": handle})]
    steps = [world.add_step("one") for _ in range(25)]
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda n: both[n % 2].run(steps[n // 8]), range(200)))
    assert sorted(ran) == steps
    assert took.count(True) == len(steps)
    assert {world.step(step)["state"] for step in steps} == {"done"}


def test_a_paused_holder_is_overtaken_and_its_save_is_discarded(world: World) -> None:
    paused, go_on = threading.Event(), threading.Event()

    def pause(_held: Held) -> Save:
        paused.set()
        assert go_on.wait(20)
        return noted("the paused one saved")

    step = world.add_step("held")
    first = threading.Thread(target=runner(world, {"held": pause}, heartbeat_s=3600.0).run, args=(step,))
    first.start()
    assert paused.wait(20)
    second = runner(world, {"held": lambda _held: noted("the second one saved")})
    assert not second.run(step)
    world.lapse(step)
    assert second.run(step)
    go_on.set()
    first.join(20)
    assert (times(world, "the second one saved"), times(world, "the paused one saved")) == (1, 0)
    assert world.step(step) == {**world.step(step), "state": "done", "fence": 2, "attempts": 2}


def test_a_paused_holder_cannot_save_in_the_middle_either(world: World) -> None:
    """The start marker of an execution is such a save."""
    seen: list[str] = []

    def handle(held: Held) -> Save:
        world.lapse(held.step.id)
        assert runner(world, {"middle": nothing}).run(held.step.id)
        held.save(noted("saved in the middle"))
        seen.append("went on")
        return nothing(held)

    step = world.add_step("middle")
    assert runner(world, {"middle": handle}).run(step)
    assert (seen, times(world, "saved in the middle")) == ([], 0)


def test_a_heartbeat_keeps_a_step_that_takes_longer_than_its_lease(world: World) -> None:
    lost: list[bool] = []

    def handle(held: Held) -> Save:
        beaten = threading.Event()
        beaten.wait(1.5)
        lost.append(runner(world, {"long": nothing}).run(held.step.id))
        return noted("the long one saved")

    step = world.add_step("long")
    assert runner(world, {"long": handle}, lease_s=1.0, heartbeat_s=0.2).run(step)
    assert lost == [False]
    assert (times(world, "the long one saved"), world.step(step)["fence"]) == (1, 1)


def test_a_failed_step_waits_longer_each_time_and_then_tells_its_incident(world: World) -> None:
    number = world.received()
    ((step, _),) = world.steps(number, "triage")
    waits = []

    def fail(_held: Held) -> Save:
        raise Unreachable("prometheus", "connection refused")

    failing = runner(world, {"triage": fail})
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert failing.run(step)
        found = world.step(step)
        assert found["attempts"] == attempt
        if attempt < MAX_ATTEMPTS:
            assert (found["state"], found["error"], found["waits"]) == ("ready", "prometheus: connection refused", True)
            ((wait_s,),) = world.database.run(
                "SELECT extract(epoch FROM not_before - clock_timestamp())::float8 FROM stanch.step WHERE id = %s",
                (step,),
            )
            waits.append(wait_s)
            assert not failing.run(step)
            world.hurry(step)
    assert all(later > earlier for earlier, later in zip(waits[:-1:2], waits[2::2], strict=False))
    assert world.step(step)["state"] == "failed"
    incident = world.incident(number)
    assert incident.state is IncidentState.NEEDS_HUMAN
    assert "connection refused" in incident.working.why
    assert world.audit(number)[-1] == "StepFailed"


def test_a_step_that_kills_its_process_each_time_does_not_go_round_for_ever(world: World) -> None:
    number = world.received()
    ((step, _),) = world.steps(number, "triage")
    for _ in range(MAX_ATTEMPTS):
        claimed = world.agent.store.claim(step, owner="a process that died", lease_s=60)
        assert claimed is not None
        world.lapse(step)
    reached: list[int] = []

    def handle(held: Held) -> Save:
        reached.append(held.step.id)
        return nothing(held)

    assert runner(world, {"triage": handle}).run(step)
    assert reached == []
    assert world.step(step)["state"] == "failed"
    assert world.incident(number).state is IncidentState.NEEDS_HUMAN


def test_a_handler_that_breaks_is_a_failed_attempt_and_no_lost_thread(world: World) -> None:
    def handle(_held: Held) -> Save:
        raise ZeroDivisionError("a defect")

    step = world.add_step("broken")
    assert runner(world, {"broken": handle}).run(step)
    assert world.step(step) == {**world.step(step), "state": "ready", "error": "a defect", "waits": True}


def test_a_save_that_breaks_leaves_nothing_of_itself(world: World) -> None:
    def handle(_held: Held) -> Save:
        def save(tx: Transaction) -> Event | None:
            noted("half a save")(tx)
            raise ZeroDivisionError("a defect")

        return save

    step = world.add_step("half")
    assert runner(world, {"half": handle}).run(step)
    assert (times(world, "half a save"), world.step(step)["state"]) == (0, "ready")


def test_an_event_that_came_too_late_is_dropped_with_an_audit_row(world: World) -> None:
    number = world.investigating()
    step = world.add_step("triage", number)
    late = Triaged(SKILL, "shop", Mode.ACT, "checkout")
    before = world.incident(number)
    assert runner(world, {"triage": lambda _held: lambda _tx: late}).run(step)
    assert world.step(step)["state"] == "done"
    assert "cannot take Triaged" in world.step(step)["error"]
    assert world.incident(number) == before
    assert world.audit(number)[-1] == "dropped"


def test_a_step_of_an_unknown_kind_asks_a_human(world: World) -> None:
    number = world.received()
    ((step, _),) = world.steps(number, "triage")
    assert runner(world, {}).run(step)
    assert world.step(step)["state"] == "failed"
    assert "no handler in this process" in world.step(step)["error"]
    assert world.incident(number).state is IncidentState.NEEDS_HUMAN


def test_an_id_sent_to_the_wrong_process_changes_nothing(world: World) -> None:
    number = world.received()
    ((step, _),) = world.steps(number, "triage")
    executor = Runner(world.database.store(AGENT), SKILLS, {}, "executor", queues=("execute",))
    assert not executor.run(step)
    assert world.step(step) == {**world.step(step), "state": "ready", "attempts": 0}


def test_a_forged_id_changes_nothing(world: World) -> None:
    assert not world.agent.run(2**62)


class Undecided(Runner):
    """Cannot decide on the failure of a check, as with a skill that was edited meanwhile."""

    def apply(self, tx: Transaction, incident: Incident, event: Event, *, actor: str | None = None) -> Incident:
        if isinstance(event, StepFailed) and event.check is not None:
            raise KeyError(event.check)
        return super().apply(tx, incident, event, actor=actor)


def test_a_failure_that_cannot_be_decided_on_ends_its_step_too(world: World) -> None:
    number = world.investigating()
    step = world.add_step("check", number, check="no such check")
    assert Undecided(world.database.store(AGENT), SKILLS, {}, "worker").run(step)
    assert world.step(step)["state"] in {"failed", "done"}
    assert not world.agent.run(step)
    assert world.audit(number)[-1] in {"StepFailed", "dropped"}


def test_a_store_that_goes_away_in_the_middle_leaves_the_step_to_be_taken_again(fresh_world: World) -> None:
    world = fresh_world
    step = world.add_step("middle")
    begun, gone = threading.Event(), threading.Event()

    def handle(_held: Held) -> Save:
        begun.set()
        assert gone.wait(20)
        return noted("saved at last")

    holder = runner(world, {"middle": handle})
    thread = threading.Thread(target=holder.run, args=(step,))
    thread.start()
    assert begun.wait(20)
    with world.database.away():
        gone.set()
        thread.join(30)
        assert not thread.is_alive()
        assert not runner(world, {"middle": handle}).run(step)
    assert (times(world, "saved at last"), world.step(step)["state"]) == (0, "running")
    world.lapse(step)
    assert runner(world, {"middle": handle}).run(step)
    assert (times(world, "saved at last"), world.step(step)["state"]) == (1, "done")
