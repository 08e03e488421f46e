"""The same incident while its own parts die: each ends in the right state, with at most one CREATE INDEX."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.acceptance.scene import eventually

if TYPE_CHECKING:
    from tests.acceptance.scene import Scene

pytestmark = pytest.mark.acceptance

ACCEPTED, UNAVAILABLE = 202, 503
NOT_AN_ALERT = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "stanch", "alerts": []}


def test_a_worker_killed_while_it_investigates_leaves_one_proposal_and_the_right_end(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.until(key, "a check is under way", lambda one: one["checks_under_way"], every_s=0.05)
    scene.kill("worker-agent")
    cut_off = scene.incident(key)
    assert (cut_off["state"], cut_off["proposal"]) == ("investigating", None)

    scene.start_again("worker-agent")
    proposed = scene.until_proposed(key)
    assert proposed["cause"]["id"] == "missing_index"
    assert scene.decide(key, "deny").is_success
    ended = scene.until_told(key, "needs_human")

    assert ended["outcome"] == "no_action"
    assert len(_proposals(scene, key)) == 1
    assert scene.builds() == []


def test_an_executor_killed_during_the_build_finds_it_again_and_builds_nothing_twice(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.until_proposed(key)
    with scene.writer_in_the_way():
        scene.approve(key)
        before = eventually("the build has begun", scene.building)
        scene.kill("executor")
        successor = scene.start_again("executor")
        eventually("the new executor has taken the step", lambda: _owner(scene, key).endswith(f":{successor}"))
        after = scene.building()
        assert after is not None
        assert after["pid"] == before["pid"]

    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "recovered"
    [run] = ended["executions"]
    assert run["state"] == "finished"
    [built] = scene.builds()
    assert built.text == ended["proposal"]["command"]
    assert all(scene.indexes().values())


def test_a_build_ended_by_an_administrator_leaves_no_invalid_index(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.until_proposed(key)
    with scene.writer_in_the_way():
        scene.approve(key)
        build = eventually("the build waits for the open transaction", scene.building)
        eventually("the index is there and not valid", lambda: not all(scene.indexes().values()))
        scene.ask_target(f"SELECT pg_terminate_backend({build['pid']})")

    ended = scene.until_told(key, "needs_human")

    [run] = ended["executions"]
    assert run["state"] == "failed"
    assert all(scene.indexes().values())
    assert ended["proposal"]["command"].split()[3] not in scene.indexes()
    assert len(scene.builds()) == 1


def test_a_broker_that_dies_and_comes_back_empty_slows_and_never_stops(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.kill("broker")
    proposed = scene.until_proposed(key)
    assert proposed["cause"]["id"] == "missing_index"
    scene.approve(key)
    scene.until_state(key, "verifying", *("resolved", "closed"))

    scene.production.stack.broker.start()
    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "recovered"
    assert len(_proposals(scene, key)) == 1
    assert len(scene.builds()) == 1


def test_a_store_that_goes_away_answers_503_and_the_incident_goes_on_when_it_returns(scene: Scene) -> None:
    store = scene.production.stack.store
    key = scene.break_the_shop()
    scene.until(key, "a check is under way", lambda one: one["checks_under_way"], every_s=0.05)
    store.stop()
    assert _post(scene) == UNAVAILABLE
    store.start()
    eventually("the hook takes alerts again", lambda: _post(scene) == ACCEPTED)
    scene.until_proposed(key)

    with scene.writer_in_the_way():
        scene.approve(key)
        eventually("the build has begun", scene.building)
        store.stop()
        assert _post(scene) == UNAVAILABLE
    eventually("the build has ended without the store", lambda: scene.building() is None)
    store.start()
    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "recovered"
    [run] = ended["executions"]
    assert run["state"] == "finished"
    assert len(scene.builds()) == 1
    assert all(scene.indexes().values())


def _proposals(scene: Scene, key: str) -> list[dict[str, Any]]:
    return scene.ask_store("SELECT id FROM stanch.proposal WHERE incident_id = %s", int(key.removeprefix("INC-")))


def _owner(scene: Scene, key: str) -> str:
    """Who holds the running execute step; empty: nobody."""
    rows = scene.ask_store(
        "SELECT owner FROM stanch.step WHERE incident_id = %s AND kind = 'execute' AND state = 'running'",
        int(key.removeprefix("INC-")),
    )
    return str(rows[0]["owner"]) if rows else ""


def _post(scene: Scene) -> int:
    """The hook's answer to a notification with the right token."""
    stack = scene.production.stack
    answer = httpx.post(
        stack.hook_url,
        content=json.dumps(NOT_AN_ALERT),
        headers={"Authorization": f"Bearer {stack.secrets.alertmanager}"},
        timeout=60.0,
        trust_env=False,
    )
    return answer.status_code
