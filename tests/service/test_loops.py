from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from connectors.broker import celery_app
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from service import chain, loops
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT, API
from tests.service.incident_world import CONFIGURATION, SKILLS, World, firing, notification

if TYPE_CHECKING:
    from pathlib import Path

    from celery import Celery

    from service.steps.runner import Held, Save

pytestmark = pytest.mark.integration


@pytest.fixture
def broker() -> Celery:
    """In memory: what is published can be taken out again."""
    return celery_app("memory://")


def queued(app: Celery, queue: str) -> list[int]:
    """Takes every id out of a queue."""
    found = []
    with app.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        while len(simple):
            message = simple.get_nowait()
            found.append(message.payload[0][0])
            message.ack()
        simple.close()
    return found


def test_the_relay_publishes_each_due_step_once_in_its_queue(fresh_world: World, broker: Celery) -> None:
    world = fresh_world
    agent, execute = world.add_step("one"), world.add_step("two", queue="execute")
    world.add_step("three", queue="api")
    later = world.add_step("four")
    world.database.run("UPDATE stanch.step SET not_before = now() + interval '1 hour' WHERE id = %s", (later,))
    relay = loops.relay(world.api.store, broker, threading.Event())
    for _ in range(3):
        due_s = relay.body()
    assert due_s is not None
    assert 3500 < due_s <= 3600
    assert (queued(broker, "agent"), queued(broker, "execute"), queued(broker, "api")) == ([agent], [execute], [])


def test_a_dead_broker_leaves_every_step_to_be_published_later(fresh_world: World, broker: Celery) -> None:
    world = fresh_world
    steps = [world.add_step("one") for _ in range(3)]
    dead = loops.relay(world.api.store, celery_app("redis://127.0.0.1:1/0"), threading.Event())
    with pytest.raises(Unreachable, match="broker"):
        dead.body()
    assert world.database.run("SELECT count(*) FROM stanch.step WHERE published_at IS NOT NULL") == [(0,)]
    loops.relay(world.api.store, broker, threading.Event()).body()
    assert queued(broker, "agent") == steps


def test_a_poller_runs_what_nobody_took(fresh_world: World) -> None:
    world = fresh_world
    ran: list[int] = []

    def handle(held: Held) -> Save:
        ran.append(held.step.id)
        return lambda _tx: None

    steps = [world.add_step("one") for _ in range(5)]
    other = world.add_step("one", queue="execute")
    abandoned = world.add_step("one")
    assert world.agent.store.claim(abandoned, owner="a process that died", lease_s=60)
    world.lapse(abandoned)
    stop = threading.Event()
    runner = Runner(world.database.store(AGENT), SKILLS, {"one": handle}, "worker")
    poller = loops.poller(runner, ("agent",), grace_s=0.0, stop=stop, threads=2)
    thread = poller.start()
    for _ in range(100):
        if set(ran) >= {*steps, abandoned}:
            break
        poller.wake.set()
        stop.wait(0.1)
    stop.set()
    poller.wake.set()
    thread.join(20)
    assert sorted(ran) == [*steps, abandoned]
    assert world.step(other)["state"] == "ready"


def test_a_step_just_published_is_left_to_the_broker_for_the_grace(fresh_world: World) -> None:
    step = fresh_world.add_step("one")
    assert fresh_world.agent.store.due(("agent",), grace_s=3600.0) == []
    assert fresh_world.agent.store.due(("agent",), grace_s=0.0) == [step]


def test_a_loop_goes_on_whatever_happens_in_a_turn() -> None:
    turns: list[int] = []
    stop, wake, done = threading.Event(), threading.Event(), threading.Event()

    def body() -> None:
        turns.append(len(turns))
        wake.set()
        match len(turns):
            case 1:
                raise Unreachable("store", "gone")
            case 2:
                raise ZeroDivisionError
            case _:
                done.set()

    thread = loops.Loop("test", body, 3600.0, wake, stop).start()
    assert done.wait(20)
    stop.set()
    wake.set()
    thread.join(20)
    assert len(turns) >= 3


def test_the_expirer_ends_what_nobody_decided(fresh_world: World) -> None:
    number, approval, _ = fresh_world.awaiting(decide_s=-1.0)
    other, waiting, _ = fresh_world.awaiting()
    loops.expirer(fresh_world.api, CONFIGURATION.rules, threading.Event()).body()
    assert (fresh_world.approval_state(approval), fresh_world.approval_state(waiting)) == ("expired", "pending")
    assert fresh_world.incident(number).state == "needs_human"
    assert fresh_world.incident(other).state == "awaiting_approval"


def test_a_listener_passes_hints_on_and_survives_the_store(fresh_world: World) -> None:
    told: list[str] = []
    step, incident = threading.Event(), threading.Event()

    def stepped(queue: str) -> None:
        told.append(queue)
        step.set()

    stop = threading.Event()
    wakes = {"stanch_step": stepped, "stanch_incident": lambda _incident: incident.set()}
    loops.Listener(fresh_world.database.dsn(API), wakes, stop).start()
    for _ in range(100):
        _, intake = fresh_world.receive(notification(firing("aa"), key="k"))
        fresh_world.agent.run(intake)
        if step.wait(0.1) and incident.wait(0.1):
            break
    assert "agent" in told
    with fresh_world.database.away():
        step.clear()
    for _ in range(100):
        fresh_world.add_step("one", queue="causal")
        step.wait(0.1)
        if "causal" in told:
            break
    assert "causal" in told
    assert "" in told, "what was missed meanwhile nobody would ever look at"
    stop.set()


# --- The audit chain ---------------------------------------------------------------------------------------------


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit-heads.jsonl"


def audited(world: World, count: int) -> None:
    with world.api.store.transaction() as tx:
        for number in range(count):
            tx.audit(None, "test", "Counted", {"number": number, "note": "ü"})


def export(world: World, heads: Path) -> None:
    loops.head_exporter(world.api.store, heads.parent, threading.Event()).body()


def sealed(world: World, heads: Path, count: int = 9) -> None:
    audited(world, count)
    assert loops.seal_all(world.api.store) == count
    export(world, heads)


def test_the_chain_is_intact_while_nobody_touched_it(fresh_world: World, heads: Path) -> None:
    sealed(fresh_world, heads)
    sealed(fresh_world, heads, 2)
    found = chain.state(fresh_world.api.store, heads)
    assert (found.rows, found.intact, found.problems) == (11, True, ())
    assert found.head is not None
    assert found.head.seq == 11
    assert loops.seal_all(fresh_world.api.store) == 0


def test_an_unsealed_row_is_not_yet_part_of_the_chain(fresh_world: World, heads: Path) -> None:
    sealed(fresh_world, heads)
    audited(fresh_world, 1)
    assert chain.state(fresh_world.api.store, heads).rows == 9


def test_sealers_at_the_same_time_make_one_chain(fresh_world: World, heads: Path) -> None:
    store = fresh_world.database.store(API, max_size=10)

    def both(number: int) -> int:
        if number % 2:
            audited(fresh_world, 3)
        return loops.seal_all(store)

    with ThreadPoolExecutor(8) as pool:
        counted = sum(pool.map(both, range(40)))
    counted += loops.seal_all(store)
    found = chain.state(store, heads)
    assert (counted, found.rows, found.intact) == (60, 60, True)


def test_a_row_with_a_number_that_has_no_canonical_form_is_sealed_too(fresh_world: World, heads: Path) -> None:
    """One such row would otherwise stop the sealer for ever."""
    with fresh_world.api.store.transaction() as tx:
        tx.run("add_audit", incident=None, actor="test", action="Big", data=jsonb({"n": [2**60, {"m": 1e300}]}))
    audited(fresh_world, 2)
    assert loops.seal_all(fresh_world.api.store) == 3
    assert chain.state(fresh_world.api.store, heads).intact


def tampered(world: World, *statements: str) -> None:
    """By a superuser, behind triggers and foreign keys."""
    for statement in ("SET session_replication_role = replica", *statements):
        world.database.run(statement)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE stanch.audit SET data = '{\"number\": 99}' WHERE id = 4", "row 4 was edited"),
        ("UPDATE stanch.audit SET actor = 'somebody else' WHERE id = 4", "row 4 was edited"),
        ("UPDATE stanch.audit SET at = at + interval '1 us' WHERE id = 4", "row 4 was edited"),
        ("UPDATE stanch.audit_seal SET hash = repeat('0', 64) WHERE seq = 4", "row 4 was edited"),
        ("DELETE FROM stanch.audit WHERE id = 4", "row 4 was edited"),
        ("DELETE FROM stanch.audit WHERE id = 9", "row 9 was edited"),
        ("DELETE FROM stanch.audit_seal WHERE seq = 4", "row 5 follows row 3: 1 rows are missing"),
        ("UPDATE stanch.audit SET id = 13 - id WHERE id IN (6, 7)", "row 6 was edited"),
        ("DELETE FROM stanch.audit_seal WHERE seq > 6", "row 9 of the exported head is missing: the chain was cut"),
        ("TRUNCATE stanch.audit_seal", "row 9 of the exported head is missing: the chain was cut"),
    ],
)
def test_what_a_superuser_changes_shows(fresh_world: World, heads: Path, statement: str, says: str) -> None:
    sealed(fresh_world, heads)
    if "13 - id" in statement:
        statement = (
            "ALTER TABLE stanch.audit ALTER id SET GENERATED BY DEFAULT;"
            " UPDATE stanch.audit SET data = CASE id WHEN 6 THEN '{\"number\": 6}'::jsonb ELSE '{\"number\": 5}' END"
            " WHERE id IN (6, 7)"
        )
    tampered(fresh_world, *statement.split(";"))
    found = chain.state(fresh_world.api.store, heads)
    assert not found.intact
    assert any(says in problem for problem in found.problems), found.problems


def test_without_the_exported_head_a_cut_tail_is_not_seen(fresh_world: World, heads: Path) -> None:
    """The one thing that only a copy outside the store can tell."""
    sealed(fresh_world, heads)
    heads.unlink()
    tampered(fresh_world, "DELETE FROM stanch.audit_seal WHERE seq > 6")
    assert chain.state(fresh_world.api.store, heads).intact


def test_a_cut_still_shows_after_the_chain_went_on_and_its_new_head_was_exported(
    fresh_world: World, heads: Path
) -> None:
    sealed(fresh_world, heads)
    tampered(
        fresh_world,
        "DELETE FROM stanch.audit_seal WHERE seq > 6",
        "DELETE FROM stanch.audit WHERE id > 6",
    )
    export(fresh_world, heads)
    assert not chain.state(fresh_world.api.store, heads).intact
    sealed(fresh_world, heads, 5)
    found = chain.state(fresh_world.api.store, heads)
    assert found.rows == 11
    assert found.problems == (
        "row 9 is not the one whose hash was exported: the chain was cut and went on, or was sealed anew",
    )


def test_a_chain_sealed_anew_as_a_whole_shows(fresh_world: World, heads: Path) -> None:
    sealed(fresh_world, heads)
    tampered(fresh_world, "TRUNCATE stanch.audit_seal", "UPDATE stanch.audit SET actor = 'nobody' WHERE id = 2")
    loops.seal_all(fresh_world.api.store)
    found = chain.state(fresh_world.api.store, heads)
    assert any("sealed anew" in problem for problem in found.problems)


def test_a_head_is_exported_once_and_a_half_written_line_is_passed_over(fresh_world: World, heads: Path) -> None:
    audited(fresh_world, 3)
    loops.seal_all(fresh_world.api.store)
    exporter = loops.head_exporter(fresh_world.api.store, heads.parent, threading.Event())
    for _ in range(3):
        exporter.body()
    (line,) = heads.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["seq"] == 3
    heads.write_text(line + '\n{"seq": 9, "ha', encoding="utf-8")
    assert chain.state(fresh_world.api.store, heads).intact
