from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from service.steps.intake import intake
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT
from tests.service.incident_world import CONFIGURATION, SKILLS

if TYPE_CHECKING:
    from tests.service.app_world import App
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

READS = ("/api/v1/incidents", "/api/v1/incidents/INC-1", "/api/v1/incidents/INC-1/evidence", "/api/v1/quarantine",
         "/api/v1/ttr", "/api/v1/control")  # fmt: skip


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("token", [None, "Bearer wrong", b"Bearer \xff"])
def test_nobody_reads_without_a_token_of_their_own(app: App, path: str, token: str | bytes | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    assert app.ask("GET", path, headers=headers).status_code == 401


def test_a_list_is_newest_first_and_can_be_paged_and_filtered(app: App, world: World) -> None:
    numbers = [world.received() for _ in range(3)]
    answer = app.ask("GET", "/api/v1/incidents?limit=2", person="vic@example.com").json()
    assert [one["id"] for one in answer["incidents"]] == [f"INC-{number}" for number in numbers[:0:-1]]
    answer = app.ask("GET", f"/api/v1/incidents?before={numbers[1]}&limit=1", person="vic@example.com").json()
    assert [one["id"] for one in answer["incidents"]] == [f"INC-{numbers[0]}"]
    answer = app.ask("GET", "/api/v1/incidents?state=executing", person="vic@example.com").json()
    assert answer == {"incidents": []}


@pytest.mark.parametrize(
    "path",
    ["/api/v1/incidents?limit=0", "/api/v1/incidents?limit=501", f"/api/v1/incidents?before={2**63}",
     "/api/v1/incidents?state=odd", "/api/v1/ttr?limit=-1", "/api/v1/incidents/INC-0", "/api/v1/incidents/INC-1' OR 1",
     "/api/v1/incidents/INC-" + "9" * 19],
)  # fmt: skip
def test_what_cannot_be_meant_is_422(app: App, path: str) -> None:
    assert app.ask("GET", path, person="vic@example.com").status_code == 422


def test_an_incident_that_is_not_there_is_404(app: App) -> None:
    assert app.ask("GET", "/api/v1/incidents/INC-999999", person="vic@example.com").status_code == 404


def test_a_whole_incident_says_what_waits_for_a_decision(app: App, world: World) -> None:
    number, approval, signed = world.awaiting()
    one = app.ask("GET", f"/api/v1/incidents/INC-{number}", person="vic@example.com").json()
    assert (one["state"], one["outcome"]) == ("awaiting_approval", None)
    proposal = one["proposal"]
    assert (proposal["digest"], proposal["revision"], proposal["approvers_needed"]) == (signed, 1, 1)
    assert (proposal["approval"]["id"], proposal["approval"]["state"]) == (approval, "pending")
    assert proposal["approvers"] == ["ada@example.com", "bob@example.com"]
    assert [line["action"] for line in one["timeline"]] == world.audit(number)
    assert one["alerts"][0]["status"] == "firing"


def test_evidence_comes_with_the_hash_of_its_bytes(app: App, world: World) -> None:
    number = world.received()
    step = world.steps(number, "triage")[0][0]
    with world.agent.store.transaction() as tx:
        tx.one("add_evidence", incident=number, step=step, fence=1, name="n", tool="metrics", status="yes",
               summary="<b>s</b>", body=b'{"a":1}', sha256="f" * 64)  # fmt: skip
    (row,) = app.ask("GET", f"/api/v1/incidents/INC-{number}/evidence", person="vic@example.com").json()["evidence"]
    assert (row["check"], row["data"], row["sha256"], row["summary"]) == ("n", {"a": 1}, "f" * 64, "<b>s</b>")


def test_what_could_not_be_read_is_visible(app: App, world: World) -> None:
    inbox, step = world.receive(b"\x00 not JSON")
    Runner(world.database.store(AGENT), SKILLS, {"intake": intake(CONFIGURATION)}, "worker").run(step)
    (row,) = app.ask("GET", "/api/v1/quarantine", person="vic@example.com").json()["quarantined"]
    receipts = world.database.run("SELECT receipt::text FROM stanch.inbox WHERE id = %s", (inbox,))
    assert [(row["receipt"],)] == receipts
    assert (row["source"], row["bytes"]) == ("alertmanager", 10)
    assert row["reason"].startswith("not JSON")


def test_times_to_restore_are_null_while_open(app: App, world: World) -> None:
    number = world.received()
    rows = app.ask("GET", "/api/v1/ttr", person="vic@example.com").json()["incidents"]
    (row,) = [one for one in rows if one["id"] == f"INC-{number}"]
    assert (row["state"], row["outcome"], row["restore"]) == ("received", None, None)


def test_metrics_count_incidents_and_name_the_newest_process_of_a_kind(app: App, world: World) -> None:
    world.received()
    for name in ("worker@a:1", "worker@z:2"):
        world.database.run("INSERT INTO stanch.process (name, kind) VALUES (%s, 'worker')", (name,))
    world.database.run("UPDATE stanch.process SET seen_at = now() - interval '1 hour' WHERE name = 'worker@z:2'")
    text = app.ask("GET", "/metrics").text
    assert 'stanch_incidents{outcome="",state="received"}' in text
    (line,) = [line for line in text.splitlines() if line.startswith('stanch_process_seen_seconds{kind="worker"}')]
    assert float(line.rpartition(" ")[2]) < 1000
    ready = app.ask("GET", "/readyz").json()
    assert (ready["status"], ready["processes"]) == ("ready", ["worker"])


# --- Decisions ---------------------------------------------------------------------------------------------------


def decision(signed: str, **changes: Any) -> dict[str, Any]:
    return {"decision": "approve", "revision": 1, "digest": signed, **changes}


def test_an_approver_approves_through_the_api(app: App, world: World) -> None:
    number, approval, signed = world.awaiting()
    path = f"/api/v1/approvals/{approval}/decision"
    answer = app.ask("POST", path, person="ada@example.com", json=decision(signed, reason="seen\x00it"))
    assert answer.status_code == 200
    assert answer.json() == {"state": "approved", "approved_by": ["ada@example.com"], "approvers_needed": 1}
    (row,) = world.rows("decisions", approval=approval)
    assert (row["channel"], row["reason"]) == ("api", "seen\ufffdit")
    again = app.ask("POST", path, person="bob@example.com", json=decision(signed))
    assert again.status_code == 409
    assert again.json()["current"]["state"] == "approved"
    assert world.incident(number).state == "executing"


def test_a_decision_needs_a_person_on_the_list(app: App, world: World) -> None:
    _, approval, signed = world.awaiting()
    path = f"/api/v1/approvals/{approval}/decision"
    assert app.ask("POST", path, json=decision(signed)).status_code == 401
    assert app.ask("POST", path, person="vic@example.com", json=decision(signed)).status_code == 403
    assert world.approval_state(approval) == "pending"


def test_a_decision_on_something_else_than_what_waits_is_a_conflict(app: App, world: World) -> None:
    _, approval, signed = world.awaiting()
    path = f"/api/v1/approvals/{approval}/decision"
    for changes in ({"revision": 2}, {"digest": "0" * 64}):
        answer = app.ask("POST", path, person="ada@example.com", json=decision(signed, **changes))
        assert answer.status_code == 409
        assert answer.json()["current"]["digest"] == signed


def test_an_approval_nobody_knows_is_404(app: App) -> None:
    path = f"/api/v1/approvals/{uuid.uuid4()}/decision"
    assert app.ask("POST", path, person="ada@example.com", json=decision("0" * 64)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nonsense", b"[]", b"{}",
        b'{"decision": "approve", "revision": 1, "digest": "abc"}',
        b'{"decision": "approve", "revision": 1, "digest": "' + b"A" * 64 + b'"}',
        b'{"decision": "approve", "revision": "1", "digest": "' + b"0" * 64 + b'"}',
        b'{"decision": "approve", "revision": 0, "digest": "' + b"0" * 64 + b'"}',
        b'{"decision": "maybe", "revision": 1, "digest": "' + b"0" * 64 + b'"}',
        b'{"decision": "approve", "revision": NaN, "digest": "' + b"0" * 64 + b'"}',
        b'{"decision": "\\ud800", "revision": 1, "digest": "' + b"0" * 64 + b'"}',
        b'{"decision": "approve", "revision": 1, "digest": "' + b"0" * 64 + b'", "reason": "' + b"x" * 1001 + b'"}',
        b'{"decision": "approve", "revision": 1, "digest": "' + b"0" * 64 + b'", "reason": "\\ud800"}',
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_read_is_422(app: App, world: World, body: bytes) -> None:
    _, approval, _ = world.awaiting()
    path = f"/api/v1/approvals/{approval}/decision"
    headers = {"Content-Type": "application/json"}
    answer = app.ask("POST", path, person="ada@example.com", headers=headers, content=body)
    assert answer.status_code == 422
    assert world.approval_state(approval) == "pending"


def test_a_revision_larger_than_any_is_a_conflict(app: App, world: World) -> None:
    _, approval, signed = world.awaiting()
    path = f"/api/v1/approvals/{approval}/decision"
    answer = app.ask("POST", path, person="ada@example.com", json=decision(signed, revision=10**30))
    assert answer.status_code == 409


def test_anyone_who_may_respond_may_stop_and_only_an_approver_starts_again(app: App, world: World) -> None:
    def post(path: str, person: str, body: dict[str, str] | None = None) -> int:
        return app.ask("POST", f"/api/v1/{path}", person=person, json=body or {}).status_code

    assert post("pause", "vic@example.com", {"reason": "x"}) == 403
    assert post("pause", "rhea@example.com") == 422
    assert post("pause", "rhea@example.com", {"reason": "failover"}) == 200
    control = app.ask("GET", "/api/v1/control", person="vic@example.com").json()
    assert (control["paused"], control["reason"], control["person"]) == (True, "failover", "rhea@example.com")
    assert post("resume", "rhea@example.com") == 403
    assert post("resume", "ada@example.com") == 200
    assert world.audit(None)[-2:] == ["Paused", "Resumed"]


def test_a_responder_asks_for_another_look_and_closes(app: App, world: World) -> None:
    number = world.investigating()
    path = f"/api/v1/incidents/INC-{number}"
    assert app.ask("POST", f"{path}/close", person="rhea@example.com", json={}).status_code == 409
    # As a triage that gave up would leave it, with its skill known.
    _needs_human(world, number)
    assert app.ask("POST", f"{path}/investigate", person="vic@example.com").status_code == 403
    answer = app.ask("POST", f"{path}/investigate", person="rhea@example.com")
    assert (answer.status_code, answer.json()["state"]) == (200, "investigating")
    _needs_human(world, number)
    answer = app.ask("POST", f"{path}/close", person="rhea@example.com", json={"reason": "by hand\x00"})
    assert (answer.status_code, answer.json()["state"]) == (200, "closed")


def _needs_human(world: World, number: int) -> None:
    move = "UPDATE stanch.incident SET state = 'needs_human', version = version + 1 WHERE id = %s"
    world.database.run(move, (number,))


def test_an_edit_that_is_no_action_is_422_and_changes_nothing(app: App, world: World) -> None:
    _, approval, signed = world.awaiting()
    path = f"/api/v1/approvals/{approval}/revision"
    body = {"revision": 1, "digest": signed, "params": {"schema": "public", "table": "orders"}}
    assert app.ask("POST", path, json=body).status_code == 401
    assert app.ask("POST", path, person="vic@example.com", json=body).status_code == 403
    answer = app.ask("POST", path, person="ada@example.com", json=body)
    assert answer.status_code == 422
    assert "columns" in answer.json()["detail"]
    assert app.ask("POST", path, person="ada@example.com", json={**body, "digest": "0" * 64}).status_code == 409
    assert world.approval_state(approval) == "pending"
