"""A lesson that expired is tried in replay when the next incident is remembered, and believed or retired by that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.replay.case import MECHANISMS
from connectors.target.memory import MemoryTarget
from service.steps import remember
from service.steps.replays import recorded
from service.steps.runner import Runner
from tests.agent.replay.cases import case
from tests.service.incident_world import SKILLS
from tests.service.steps.test_remember import recovered, worker

if TYPE_CHECKING:
    from pathlib import Path

    from agent.replay.case import Case
    from tests.service.incident_world import World

WORKS = (case("outdated_statistics"),) * 3
FAILS = tuple(replace(one, truth=replace(one.truth, action="reindex_index_concurrently")) for one in WORKS)


class Replays:
    """What is tried, and how often somebody asked."""

    def __init__(self, *cases: Case) -> None:
        self.cases = cases
        self.asked = 0

    def __call__(self) -> tuple[Case, ...]:
        self.asked += 1
        return self.cases


def remembered(world: World, folder: Path, replays: Replays) -> int:
    agent = worker(world, folder, {"shop": MemoryTarget(), "shop-eu": MemoryTarget()})
    number = recovered(world)
    agent.run(number, "sibling_sweep")
    agent.run(number, "postmortem")
    ((step, _),) = world.steps(number, "remember")
    handlers = {"remember": remember.remember(agent.ports, replays=replays)}
    assert Runner(agent.ports.store, SKILLS, handlers, "worker").run(step)
    assert world.step(step)["state"] == "done"
    return number


def expired(world: World, folder: Path) -> None:
    """A lesson of a hundred days ago that a person confirmed: analyze_table helped against outdated statistics."""
    first = remembered(world, folder, Replays())
    old = {"cause": "outdated_statistics", "action": "analyze_table"}
    world.database.run(
        "UPDATE stanch.past_case SET body = body || %s::jsonb || jsonb_build_object('closed_at',"
        " to_char(now() - interval '100 days', 'YYYY-MM-DD\"T\"HH24:MI:SS+00:00')) WHERE incident_id = %s",
        (json.dumps(old), first),
    )
    remembered(world, folder, Replays())
    world.database.run(
        "UPDATE stanch.lesson SET confirmed_by = 'ana' WHERE body -> 'claim' ->> 'action' = 'analyze_table'"
    )


def lesson(world: World) -> dict[str, Any]:
    (found,) = [row["body"] for row in world.rows("lessons") if row["body"]["claim"]["action"] == "analyze_table"]
    return dict(found)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("cases", "status", "said"),
    [(WORKS, "active", "it holds"), (FAILS, "retired", "it does not hold")],
    ids=["it still works", "it does not"],
)
def test_a_lesson_that_expired_is_trusted_again_or_retired_as_the_replays_say(
    fresh_world: World, tmp_path: Path, cases: tuple[Case, ...], status: str, said: str
) -> None:
    expired(fresh_world, tmp_path)
    replays = Replays(*cases)
    remembered(fresh_world, tmp_path, replays)
    found = lesson(fresh_world)
    assert (found["status"], replays.asked) == (status, 1)
    assert found["last_probe"] is not None
    notes = fresh_world.database.run("SELECT data ->> 'note' FROM stanch.audit WHERE action = 'LessonProbed'")
    assert len(notes) == 1
    assert "analyze_table helps against outdated_statistics" in notes[0][0]
    assert said in notes[0][0]
    again = Replays(*cases)
    remembered(fresh_world, tmp_path, again)
    assert (lesson(fresh_world)["status"], again.asked) == (status, 0)


@pytest.mark.integration
def test_what_the_replays_say_nothing_of_is_not_trusted_and_not_retired(fresh_world: World, tmp_path: Path) -> None:
    expired(fresh_world, tmp_path)
    remembered(fresh_world, tmp_path, Replays(*WORKS[:2]))
    found = lesson(fresh_world)
    assert (found["status"] in {"candidate", "to_probe"}, found["last_probe"]) == (True, None)
    assert "LessonProbed" not in fresh_world.audit(None)


def test_the_recordings_that_come_with_stanch_are_what_is_tried() -> None:
    cases = recorded()
    assert cases
    assert {one.truth.mechanism for one in cases} <= set(MECHANISMS)
    assert recorded() is cases
