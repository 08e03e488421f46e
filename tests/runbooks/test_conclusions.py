"""What the seeds conclude, played through the same decide as live, where every check says what it should."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.database.checks import CHECKS
from agent.replay.case import HARMLESS, Case, Said, Truth
from agent.replay.play import play
from connectors.runbooks import skills

if TYPE_CHECKING:
    from collections.abc import Mapping

SKILLS = skills()
SESSION = {"pid": 4711, "backend_start": "2026-11-22 03:00:00.000001+00", "query_sha256": "a" * 64}
LOCKS = frozenset(
    {
        "database:lock_waits",
        "database:slow_statement",
        "causal:target_leads",
        "causal:any_leads",
        "metrics:symptoms_now",
        "metrics:pool_waiting",
        "metrics:error_rate_rose",
    }
)
SCANS = frozenset(
    {
        "database:sequential_scans_dominate",
        "database:slow_statement",
        "database:plan_scans_a_big_table",
        "database:index_would_help",
        "causal:target_leads",
        "causal:any_leads",
        "changes:recent_change",
        "metrics:symptoms_now",
        "metrics:pool_waiting",
    }
)
SAYS_YES: Mapping[str, frozenset[str]] = {
    "missing_index": SCANS,
    "invalid_index": SCANS | {"database:invalid_index_left", "database:invalid_index"},
    "outdated_statistics": frozenset(
        {
            "database:slow_statement",
            "database:stale_statistics",
            "database:outdated_statistics",
            "causal:target_leads",
            "causal:any_leads",
            "metrics:symptoms_now",
        }
    ),
    "runaway_query": frozenset(
        {
            "database:slow_statement",
            "database:runaway_query",
            "causal:target_leads",
            "causal:any_leads",
            "metrics:symptoms_now",
        }
    ),
    "temp_file_spill": frozenset({"database:slow_statement", "database:temp_file_spill", "changes:recent_change"}),
    "idle_in_transaction": LOCKS | {"database:idle_in_transaction"},
    "row_lock_pile_up": LOCKS | {"database:row_lock_pile_up"},
    "ddl_lock_queue": LOCKS | {"database:ddl_lock_queue", "changes:recent_change"},
    "connection_leak": frozenset(
        {
            "database:connection_exhaustion",
            "metrics:pool_waiting",
            "metrics:symptoms_now",
            "metrics:error_rate_rose",
            "causal:any_leads",
            "causal:target_leads",
        }
    ),
    "old_xmin": frozenset({"database:old_xmin", "database:long_transaction"}),
    "cpu_saturation": frozenset({"metrics:cpu_saturated", "causal:any_leads", "metrics:symptoms_now"}),
    "slow_dependency": frozenset({"metrics:slow_callee", "causal:any_leads", "metrics:symptoms_now"}),
    "bad_deploy": frozenset(
        {
            "metrics:error_rate_rose",
            "metrics:errors_follow_a_change",
            "changes:recent_change",
            "causal:any_leads",
            "metrics:symptoms_now",
        }
    ),
    "traffic_surge": frozenset({"metrics:traffic_surge", "metrics:symptoms_now"}),
    "no_fault": frozenset(),
}


def finding(kind: str, params: Mapping[str, Any], **data: Any) -> dict[str, Any]:
    return {"findings": [{"action": {"kind": kind, "params": params}, "data": data}]}


DATA: Mapping[str, Mapping[str, Any]] = {
    "database:index_would_help": {"schema": "public", "table": "orders", "columns": ["customer_id"]},
    "database:outdated_statistics": finding("analyze_table", {"schema": "public", "table": "orders"}),
    "database:invalid_index": finding("drop_index_concurrently", {}, schema="public", table="orders", name="left_idx"),
    "database:runaway_query": finding("cancel_backend", SESSION),
    "database:temp_file_spill": finding(
        "set_role_setting", {"role": "app", "setting": "work_mem", "value": "64MB", "previous": ""}
    ),
    "database:idle_in_transaction": finding("terminate_backend", SESSION),
    "database:row_lock_pile_up": finding("cancel_backend", SESSION),
    "database:ddl_lock_queue": finding("cancel_backend", SESSION),
    "database:connection_exhaustion": finding("terminate_backend", SESSION, leak=True),
    "database:old_xmin": finding("terminate_backend", SESSION),
}
ACTIONS: Mapping[str, str] = {
    "missing_index": "create_index_concurrently",
    "invalid_index": "reindex_index_concurrently",
    "outdated_statistics": "analyze_table",
    "runaway_query": "cancel_backend",
    "temp_file_spill": "set_role_setting",
    "idle_in_transaction": "terminate_backend",
    "row_lock_pile_up": "cancel_backend",
    "ddl_lock_queue": "cancel_backend",
    "old_xmin": "terminate_backend",
}
ALERTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("StorefrontSlow", "storefront"): tuple(sorted(set(SAYS_YES) - {"old_xmin", "temp_file_spill"})),
    ("StorefrontErrors", "storefront"): (
        "bad_deploy", "connection_leak", "ddl_lock_queue", "idle_in_transaction", "missing_index", "no_fault",
        "row_lock_pile_up", "slow_dependency", "traffic_surge",
    ),
    ("DatabaseBusy", "orders-db"): ("invalid_index", "missing_index", "outdated_statistics", "runaway_query"),
    ("DatabaseConnectionsHigh", "orders-db"): (
        "connection_leak", "ddl_lock_queue", "idle_in_transaction", "row_lock_pile_up",
    ),
    ("DatabaseDeadRows", "orders-db"): ("no_fault", "old_xmin"),
    ("DatabaseTempBytes", "orders-db"): ("no_fault", "temp_file_spill"),
    ("BillingLate", "billing"): (
        "bad_deploy", "connection_leak", "ddl_lock_queue", "idle_in_transaction", "missing_index", "row_lock_pile_up",
    ),
}  # fmt: skip


def case(alertname: str, service: str, mechanism: str) -> Case:
    asked = {f"{check.tool}:{check.query}" for skill in SKILLS.values() for check in skill.checks.values()}
    answers = {
        question: (
            Said("yes", "it is so", DATA.get(question, {}), 0.2)
            if question in SAYS_YES[mechanism] or question == "database:workload_sample"
            else Said("no", "it is not so", {}, 0.2),
        )
        for question in asked
    }
    # A statement that runs away does not end; any other busiest one ends often, slow or not.
    [said] = answers["database:slow_statement"]
    calls = 0 if mechanism == "runaway_query" else 40
    answers["database:slow_statement"] = (replace(said, data={"statement": {"calls": calls}}),)
    return Case(
        id=mechanism,
        family=mechanism,
        labels={"alertname": alertname, "service": service},
        service=service,
        target="orders-db",
        answers=answers,
        truth=Truth(mechanism, "orders-db", mechanism, ACTIONS.get(mechanism)),
    )


@pytest.mark.parametrize(
    ("alertname", "service", "mechanism"),
    [(*alert, mechanism) for alert, mechanisms in ALERTS.items() for mechanism in mechanisms],
)
def test_each_cause_of_an_alert_is_found_and_its_repair_can_be_built(
    alertname: str, service: str, mechanism: str
) -> None:
    played = play(case(alertname, service, mechanism), SKILLS)
    assert played.cause == mechanism, played.why
    assert played.action == ACTIONS.get(mechanism)
    assert played.refused == ()
    assert not played.harm


@pytest.mark.parametrize(("alertname", "service"), ALERTS)
def test_where_nothing_can_be_seen_nothing_is_concluded_and_nothing_done(alertname: str, service: str) -> None:
    blind = replace(case(alertname, service, "no_fault"), answers={})
    played = play(blind, SKILLS)
    assert (played.cause, played.acted) == (None, False)


def test_no_skill_can_act_on_what_is_no_fault_or_lies_outside_the_database() -> None:
    for skill in SKILLS.values():
        repaired = {fix.cause for fix in skill.remediations}
        assert not repaired & (HARMLESS | {"bad_deploy", "slow_dependency", "cpu_saturation"}), skill.name


def test_every_class_that_a_remediation_reads_is_a_check_of_the_database() -> None:
    for skill in SKILLS.values():
        for fix in skill.remediations:
            check = skill.checks[fix.params_from]
            assert check.tool == "database"
            assert check.query in CHECKS
