from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent.events import ExecutionEnded, HumanClosed, VerificationSampled
from agent.incident import IncidentState, Milestone, Outcome
from service.steps.approve import Taken, take
from tests.service.incident_world import CONFIGURATION, KEY, STARTS, ask, firing, notification, resolved

if TYPE_CHECKING:
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration


def test_a_firing_alert_opens_one_incident_with_its_triage_step(world: World) -> None:
    key = world.group()
    world.notify(firing("aa01"), key=key)
    (number,) = world.incidents_of(key)
    incident = world.incident(number)
    assert incident.state is IncidentState.RECEIVED
    assert incident.title == "SlowCheckout: p99 is over 1 s"
    assert (incident.service, incident.severity) == ("checkout", "page")
    assert incident.milestones[Milestone.IMPACT_START] == STARTS
    assert Milestone.DETECTED in incident.milestones
    assert [state for _, state in world.steps(number, "triage")] == ["ready"]
    assert world.audit(number) == ["AlertReceived"]


def test_a_repeated_notification_only_refreshes_what_was_seen(world: World) -> None:
    key = world.group()
    world.notify(firing("aa02"), key=key)
    (before,) = world.rows("alerts", incident=world.incidents_of(key)[0])
    world.notify(firing("aa02"), key=key)
    world.notify(firing("aa02"), key=key)
    (number,) = world.incidents_of(key)
    (after,) = world.rows("alerts", incident=number)
    assert after["seen"] == 3
    assert after["last_seen"] > before["last_seen"]
    assert after["first_seen"] == before["first_seen"]
    assert len(world.steps(number, "triage")) == 1
    assert world.audit(number) == ["AlertReceived"]


def test_a_second_alert_of_the_group_joins_its_incident(world: World) -> None:
    key = world.group()
    world.notify(firing("aa03"), key=key)
    world.notify(firing("aa03"), firing("aa04", starts=STARTS + timedelta(minutes=1)), key=key)
    (number,) = world.incidents_of(key)
    assert [row["fingerprint"] for row in world.rows("alerts", incident=number)] == ["aa03", "aa04"]
    assert world.audit(number) == ["AlertReceived", "AlertsJoined"]


def test_an_alert_is_resolved_by_its_fingerprint_and_the_last_one_ends_the_incident(world: World) -> None:
    key = world.group()
    world.notify(firing("aa05"), firing("aa06"), key=key)
    (number,) = world.incidents_of(key)
    world.notify(resolved("aa05"), firing("aa06"), key=key)
    assert world.incident(number).state is IncidentState.RECEIVED
    # Without a fingerprint that is known, the start says nothing: a restarted source may give another one.
    world.notify(resolved("aa06", starts=STARTS + timedelta(seconds=7)), key=key)
    incident = world.incident(number)
    assert incident.state is IncidentState.SELF_RESOLVED
    assert incident.outcome is Outcome.SELF_RESOLVED
    assert {row["status"] for row in world.rows("alerts", incident=number)} == {"resolved"}


def test_a_resolve_of_an_unknown_alert_touches_nothing_else(world: World) -> None:
    key = world.group()
    world.notify(firing("aa07"), key=key)
    world.notify(resolved("ffff"), key=key)
    (number,) = world.incidents_of(key)
    assert world.incident(number).state is IncidentState.RECEIVED
    assert [row["status"] for row in world.rows("alerts", incident=number)] == ["firing"]


def test_a_resolve_that_overtakes_its_firing_leaves_no_open_incident(world: World) -> None:
    key = world.group()
    world.notify(resolved("aa08"), key=key)
    world.notify(firing("aa08"), key=key)
    assert world.incidents_of(key) == []


def test_a_later_episode_of_an_overtaken_alert_opens_an_incident(world: World) -> None:
    key = world.group()
    world.notify(resolved("aa18"), key=key)
    world.notify(firing("aa18", starts=STARTS + timedelta(hours=1)), key=key)
    assert len(world.incidents_of(key)) == 1


def test_a_truncated_group_resolves_nothing_by_absence(world: World) -> None:
    key = world.group()
    world.notify(firing("aa09"), firing("aa10"), key=key)
    world.notify(firing("aa09"), key=key, truncatedAlerts=1)
    (number,) = world.incidents_of(key)
    assert [row["status"] for row in world.rows("alerts", incident=number)] == ["firing", "firing"]


def test_the_same_episode_opens_no_second_incident_after_the_first_was_closed(world: World) -> None:
    key = world.group()
    number = _needing_a_human(world, key, "aa11")
    world.apply(world.api, number, HumanClosed("ada@example.com", "done by hand"))
    world.notify(firing("aa11"), key=key)
    assert world.incidents_of(key) == [number]
    world.notify(firing("aa11", starts=STARTS + timedelta(hours=1)), key=key)
    assert len(world.incidents_of(key)) == 2


def _needing_a_human(world: World, key: str, fingerprint: str) -> int:
    world.notify(firing(fingerprint), key=key)
    (number,) = world.incidents_of(key)
    ((step, _),) = world.steps(number, "triage")  # which this runner has no handler for
    world.agent.run(step)
    assert world.incident(number).state is IncidentState.NEEDS_HUMAN
    return number


@pytest.mark.parametrize("state", ["received", "investigating", "awaiting_approval", "needs_human"])
def test_an_alert_that_ends_by_itself_ends_each_waiting_incident(world: World, state: str) -> None:
    approval = None
    match state:
        case "received":
            number = world.received()
        case "investigating":
            number = world.investigating()
        case "awaiting_approval":
            number, approval, _ = world.awaiting()
        case _:
            number = _needing_a_human(world, world.group(), "aa12")
    assert world.incident(number).state == state
    (alert,) = world.rows("alerts", incident=number)
    world.notify(resolved(alert["fingerprint"]), key="another group")
    incident = world.incident(number)
    assert incident.state is IncidentState.SELF_RESOLVED
    assert world.steps(number, "postmortem")
    if approval is not None:
        ((step, _),) = world.steps(number, "void_approvals")
        assert world.api.run(step)
        assert world.approval_state(approval) == "cancelled"


@pytest.mark.parametrize("state", ["executing", "verifying"])
def test_what_runs_is_not_stopped_by_the_end_of_its_alert(world: World, state: str) -> None:
    number, approval, signed = world.awaiting()
    assert isinstance(take(world.api, CONFIGURATION.rules, KEY, approval, ask(signed)), Taken)
    if state == "verifying":
        executor = world.executor({})
        world.apply(executor, number, ExecutionEnded("run", "finished", "valid", datetime.now(UTC)))
    (alert,) = world.rows("alerts", incident=number)
    world.notify(resolved(alert["fingerprint"]), key="another group")
    assert world.incident(number).state == state
    if state == "verifying":
        world.apply(world.agent, number, VerificationSampled("recovered", "1 before, 0 after", STARTS, True))
        assert world.incident(number).outcome is Outcome.RECOVERED


def test_two_notifications_of_a_new_group_at_once_open_one_incident(world: World) -> None:
    for round_ in range(5):
        key = world.group()
        bodies = [notification(firing(f"bb{round_}{n}"), key=key) for n in range(4)]
        steps = [world.receive(body)[1] for body in bodies]
        for _ in range(4):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(world.agent.run, steps))
            for step in steps:
                world.hurry(step)
        assert {world.step(step)["state"] for step in steps} == {"done"}
        (number,) = world.incidents_of(key)
        assert len(world.rows("alerts", incident=number)) == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\x00\xff", "not JSON"),
        (b"[1]", "not a JSON object"),
        (notification(firing("cc"), key="k", version="5"), "version is '5'"),
        (b'{"version": "4", "groupKey": "k", "alerts": []}', "alerts"),
        (b'{"version": "4", "groupKey": "k", "alerts": [{"status": "odd"}]}', "alerts.0.status"),
        (b'{"version": "4", "groupKey": "\\ud800", "alerts": []}', "not JSON"),
        (b'{"version": "4", "groupKey": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (notification({**firing("cc"), "startsAt": "0001-01-01T00:00:00+14:00"}, key="k"), "a time outside the years"),
    ],
)
def test_a_body_that_cannot_be_read_is_quarantined(world: World, body: bytes, reason: str) -> None:
    inbox, step = world.receive(body)
    world.agent.run(step)
    assert world.step(step)["state"] == "done"
    ((state, said),) = world.database.run("SELECT state, reason FROM stanch.inbox WHERE id = %s", (inbox,))
    assert state == "quarantined"
    assert reason in said


@pytest.mark.parametrize("place", ["fingerprint", "generatorURL", "groupKey", "label", "annotation", "label name"])
def test_a_nul_anywhere_in_an_alert_does_not_lose_it(world: World, place: str) -> None:
    key, alert = world.group(), firing(f"dd{place}"[:16])
    match place:
        case "groupKey":
            key += "\x00"
        case "label":
            alert["labels"]["service"] = "a\x00b"
        case "label name":
            alert["labels"]["a\x00b"] = "x"
        case "annotation":
            alert["annotations"]["summary"] = "a\x00b"
        case _:
            alert[place] += "\x00"
    before = world.database.run("SELECT count(*) FROM stanch.incident")
    world.notify(alert, key=key)
    after = world.database.run("SELECT count(*) FROM stanch.incident")
    assert after[0][0] == before[0][0] + 1


def test_an_intake_that_gives_up_is_quarantined_too(world: World) -> None:
    inbox, step = world.receive(notification(firing("ee01"), key=world.group()))
    world.database.run("UPDATE stanch.step SET attempts = 99 WHERE id = %s", (step,))
    assert world.agent.run(step)
    assert world.step(step)["state"] == "failed"
    ((state, said),) = world.database.run("SELECT state, reason FROM stanch.inbox WHERE id = %s", (inbox,))
    assert state == "quarantined"
    assert "every attempt ended with its process" in said


def _changes(world: World, body: bytes) -> tuple[str, list[Any]]:
    inbox, step = world.receive(body, "changes")
    world.agent.run(step)
    ((state,),) = world.database.run("SELECT state FROM stanch.inbox WHERE id = %s", (inbox,))
    service = body.partition(b'"service": "')[2].partition(b'"')[0].decode()
    return state, world.database.run(
        "SELECT version, summary, at, received_at FROM stanch.change WHERE service LIKE %s ORDER BY id",
        (service + "%",),
    )


def test_a_single_change_is_stored_with_the_time_it_came(world: World) -> None:
    state, rows = _changes(world, b'{"service": "one", "version": "2.1"}')
    assert state == "processed"
    ((version, summary, at, received),) = rows
    assert (version, summary) == ("2.1", "deploy")
    assert abs(received - at) < timedelta(seconds=30)


def test_a_list_of_changes_is_stored_whole(world: World) -> None:
    body = b'[{"service": "many", "at": "2026-11-21T12:00:00Z"}, {"service": "many2", "summary": "flag on"}]'
    state, rows = _changes(world, body)
    assert state == "processed"
    assert [(summary, at == STARTS) for _, summary, at, _ in rows] == [("deploy", True), ("flag on", False)]


@pytest.mark.parametrize(
    "body", [b"nonsense", b'{"version": "1"}', b'{"service": ""}', b'{"service": "x", "at": "2026-01-01T00:00:00"}',
             b'[{"service": "fine"}, {"service": 7}]', b"3"],
)  # fmt: skip
def test_a_change_that_cannot_be_read_is_quarantined_whole(world: World, body: bytes) -> None:
    state, rows = _changes(world, body)
    assert state == "quarantined"
    assert [row for row in rows if b"fine" in body] == []


def test_a_change_from_the_future_counts_as_now(world: World) -> None:
    state, ((_, _, at, received),) = _changes(world, b'{"service": "early", "at": "2999-01-01T00:00:00Z"}')
    assert state == "processed"
    assert at - received < timedelta(minutes=6)


def test_a_nul_in_a_change_does_not_lose_it(world: World) -> None:
    state, ((version, summary, _, _),) = _changes(
        world, b'{"service": "nul", "version": "1\\u0000", "summary": "a\\u0000b"}'
    )
    assert (state, version, summary) == ("processed", "1\ufffd", "a\ufffdb")
