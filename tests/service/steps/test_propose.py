"""Any kind of action out of the evidence, as a skill says where its parameters are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agent.database.execution import Bounds
from agent.database.statements import Ran
from agent.incident import IncidentState
from agent.runbook.parameters import read_sources
from agent.runbook.skill import Remediation
from connectors.target.memory import IDENTITY
from guardrails.facts import Facts, SessionFacts, TableFacts
from service.steps import investigate
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT
from tests.service.incident_world import SKILL, SKILLS, World, ports_of

if TYPE_CHECKING:
    from agent.database.snapshot import NotVisible
    from connectors.store.store import Row
    from guardrails.action import Action

pytestmark = pytest.mark.integration

STARTED = "2026-11-21T12:00:00.123456+00:00"
QUERY = "UPDATE orders SET status = 'done'"
HASHED = hashlib.sha256(QUERY.encode()).hexdigest()
ROOT = {"pid": 4711, "backend_start": STARTED, "query": QUERY}
SESSION = SessionFacts(4711, datetime.fromisoformat(STARTED), "app", query_sha256=HASHED)


def proposing(world: World, action: str, params: Any, **facts: Any) -> Runner:
    """A worker with a skill whose one remediation is this action, over a target that is as `facts` say."""

    def seen(target: str, _action: Action, now: datetime, recent: int) -> tuple[Facts, tuple[NotVisible, ...]]:
        table = TableFacts("public", "orders", ("id", "customer_id"), "r", 1000, 8192)
        found = Facts(now, target, "production", 150018, (table,), recent_executions=recent, sessions=(SESSION,))
        return replace(found, **facts), ()

    remedy = Remediation("it", "missing_index", action, "index_would_help", False, read_sources(params))
    skills = {SKILL: replace(SKILLS[SKILL], remediations=(remedy,))}
    ports = replace(
        ports_of(world.database.store(AGENT)),
        skills=skills,
        facts=seen,
        identity=lambda name: {"name": name, "system_identifier": IDENTITY.system_identifier, "database": "shop"},
    )
    return Runner(ports.store, skills, {"propose": investigate.propose(ports)}, "worker")


def proposed(world: World, worker: Runner, evidence: dict[str, Any]) -> tuple[int, Row | None]:
    number = world.investigating()
    step = world.add_step("propose", number, remediation="it")
    body = orjson.dumps(evidence)
    with world.agent.store.transaction() as tx:
        tx.one(
            "add_evidence", incident=number, step=step, fence=0, name="index_would_help", tool="database",
            status="yes", summary="", body=body, sha256=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
    assert worker.run(step)
    return number, world.one("latest_proposal", incident=number)


def test_a_skill_takes_each_parameter_from_its_place(world: World) -> None:
    places = {
        "pid": "roots.0.pid",
        "backend_start": "roots.0.backend_start",
        "query_sha256": {"sha256_of": "roots.0.query"},
    }
    _, row = proposed(world, proposing(world, "terminate_backend", places), {"roots": [ROOT]})
    assert row is not None
    assert row["params"] == {"pid": 4711, "backend_start": STARTED, "query_sha256": HASHED}
    assert "pg_terminate_backend" in row["command"]
    assert HASHED in row["command"]


def test_a_finding_of_the_diagnosis_brings_its_own_parameters_and_the_target_the_rest(world: World) -> None:
    finding = {"action": {"params": {"pid": 4711, "backend_start": STARTED, "query_sha256": ""}}}
    worker = proposing(world, "cancel_backend", "findings.0.action.params")
    _, row = proposed(world, worker, {"findings": [finding]})
    assert row is not None
    assert row["params"]["query_sha256"] == HASHED


def test_the_value_that_a_rollback_brings_back_is_the_targets_own(world: World) -> None:
    places = {"role": {"value": "app"}, "setting": {"value": "work_mem"}, "value": {"value": "64MB"}}
    worker = proposing(world, "set_role_setting", places, current="4MB", there=True)
    _, row = proposed(world, worker, {})
    assert row is not None
    assert (row["command"], row["rollback"]) == (
        "ALTER ROLE app SET work_mem = '64MB'",
        "ALTER ROLE app SET work_mem = '4MB'",
    )


@pytest.mark.parametrize(
    ("action", "params", "evidence", "why"),
    [
        ("terminate_backend", {"pid": "roots.0.pid"}, {"roots": []}, "there is no roots.0.pid"),
        ("terminate_backend", {"pid": "roots.0.pid"}, {"roots": [ROOT]}, "terminate_backend"),
        ("terminate_backend", "roots.0", {"roots": [{**ROOT, "pid": "4711"}]}, "no parameter"),
        ("analyze_table", None, {"schema": "public", "table": 3}, "parameter table is not a str"),
        ("analyze_table", None, {"schema": "public", "table": "no_such"}, "not in the catalog"),
        ("drop_database", "roots.0", {"roots": [ROOT]}, "unknown action"),
    ],
)
def test_evidence_that_makes_no_action_goes_to_a_human(
    world: World, action: str, params: Any, evidence: dict[str, Any], why: str
) -> None:
    number, row = proposed(world, proposing(world, action, params), evidence)
    assert row is None
    incident = world.incident(number)
    assert incident.state is IncidentState.NEEDS_HUMAN
    assert why in incident.working.why


def test_the_bounds_and_the_statement_are_part_of_what_is_signed(world: World) -> None:
    slow = {"queryid": -(2**62), "user": "shop", "mean_exec_ms": 431.25, "calls": 55, "query": "SELECT 1"}
    evidence = {"schema": "public", "table": "orders", "columns": ["customer_id"], "statement": slow}
    _, row = proposed(world, proposing(world, "create_index_concurrently", None), evidence)
    assert row is not None
    signed = row["document"]["verification"]
    assert signed["bounds"] == Bounds().as_data()
    assert signed["statement"] == {"queryid": str(-(2**62)), "user": "shop", "mean_us": 431250, "calls": 55}


def test_a_statement_that_was_only_seen_running_is_none(world: World) -> None:
    running = {"queryid": 0, "user": "shop", "mean_exec_ms": 431.25, "calls": 0}
    evidence = {"schema": "public", "table": "orders", "columns": ["customer_id"], "statement": running}
    _, row = proposed(world, proposing(world, "create_index_concurrently", None), evidence)
    assert row is not None
    assert row["document"]["verification"]["statement"] is None


def test_the_statement_that_a_finding_names_is_signed_as_well(world: World) -> None:
    ran = Ran(
        userid=10, queryid=77, user="shop", query="SELECT 1", calls=38, total_ms=79_625.2, mean_ms=2095.4,
        spread_ms=3.0, fastest_ms=None, rows=380, temp_bytes=0, share=1.0, generic_calls=None,
    )  # fmt: skip
    finding = {"data": {"statement": ran.as_data()}, "action": {"kind": "analyze_table"}}
    evidence = {"schema": "public", "table": "orders", "findings": [finding]}
    _, row = proposed(world, proposing(world, "analyze_table", None), evidence)
    assert row is not None
    signed = row["document"]["verification"]["statement"]
    assert signed == {"queryid": "77", "user": "shop", "mean_us": 2_095_400, "calls": 38}
