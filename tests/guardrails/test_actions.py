from __future__ import annotations

import pytest

from guardrails.action import KINDS, MEMBERS, Action, UnknownAction, action_from_params, action_to_params, render
from guardrails.fence import OPENINGS
from guardrails.judge import RISK_IN_PRODUCTION, judge, risk_of
from guardrails.policy import Policy
from guardrails.sql.check import check
from guardrails.sql.readonly import check_readonly
from guardrails.sql.rendered import differences
from tests.guardrails.actions import EVERY_ACTION, SERVER_ACTIONS, STARTED
from tests.guardrails.examples import NOW, facts

NAMES = [f"{action.kind}-{index}" for index, action in enumerate(EVERY_ACTION)]
MISUSE_OF_THE_LIST = {
    "cancel_backend",
    "terminate_backend",
    "alter_system_reload",
    "drop_replication_slot",
    "create_partitioned_index",
}
"""A migration may not do these; only an approved action may."""


def test_every_member_has_an_example_a_risk_and_a_place_in_the_fence() -> None:
    assert {action.kind for action in EVERY_ACTION} == KINDS == set(RISK_IN_PRODUCTION)
    assert len(MEMBERS) == len(KINDS)
    fix = {member.kind for member in MEMBERS if member.connection == "fix"}
    assert set(OPENINGS) == fix - {"vacuum_table", "analyze_table"}


@pytest.mark.parametrize("action", EVERY_ACTION, ids=NAMES)
def test_an_action_survives_the_way_through_its_parameters(action: Action) -> None:
    assert action_from_params(action.kind, action_to_params(action)) == action


@pytest.mark.parametrize("action", EVERY_ACTION, ids=NAMES)
def test_what_is_rendered_reads_back_as_the_action(action: Action) -> None:
    rendered = render(action, "P-1")
    assert rendered.steps
    assert differences(action, rendered) == ()


@pytest.mark.parametrize("action", EVERY_ACTION, ids=NAMES)
def test_no_step_would_be_refused_as_dangerous(action: Action) -> None:
    if action.kind in MISUSE_OF_THE_LIST:
        return
    for step in render(action, "P-1").steps:
        refusals = [finding.rule for finding in check(step).findings if finding.level == "refuse"]
        assert refusals == [], step


@pytest.mark.parametrize("action", EVERY_ACTION, ids=NAMES)
def test_the_proof_only_reads(action: Action) -> None:
    proof = render(action, "P-1").proof
    assert proof
    assert check_readonly(proof).verdict == "allow", (proof, check_readonly(proof).reason)


def test_the_risk_is_high_where_nothing_brings_it_back() -> None:
    policy = Policy()
    for action in SERVER_ACTIONS:
        if action.kind in ("rollback_prepared", "drop_replication_slot", "alter_system_reload"):
            assert risk_of(action, "production", None, policy, NOW) == "high"
            assert risk_of(action, "staging", None, policy, NOW) == "medium"


def test_a_session_that_is_gone_is_not_cancelled() -> None:
    verdict = judge(SERVER_ACTIONS[0], facts(), Policy(), proposal_id="P-1")
    assert not verdict.allowed
    assert "unknown_session" in {finding.rule for finding in verdict.findings}


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("cancel_backend", {"pid": 0, "backend_start": STARTED}),
        ("cancel_backend", {"pid": True, "backend_start": STARTED}),
        ("cancel_backend", {"pid": 1, "backend_start": "2026-11-21T12:00:00"}),
        ("cancel_backend", {"pid": 1, "backend_start": "' OR true --"}),
        ("set_role_setting", {"role": "a", "setting": "session_preload_libraries", "value": "x"}),
        ("set_role_setting", {"role": "a", "setting": "work_mem", "value": "1'; DROP"}),
        ("set_role_setting", {"role": "a", "setting": "connection_limit", "value": "10MB"}),
        ("set_role_setting", {"role": "", "setting": "work_mem", "value": "1MB"}),
        ("alter_system_reload", {"setting": "archive_command", "value": "off"}),
        ("alter_system_reload", {"setting": "max_wal_size", "value": "off\n"}),
        ("rollback_prepared", {"identifier": ""}),
        ("rollback_prepared", {"identifier": "a\\b"}),
        ("rollback_prepared", {"identifier": "a\x1b"}),
        ("drop_replication_slot", {"slot": "x'); DROP"}),
        ("set_table_storage", {"schema": "s", "table": "t", "parameter": "user_catalog_table", "value": "true"}),
        ("set_table_storage", {"schema": "s", "table": "t", "parameter": "fillfactor", "value": "1); DROP"}),
        ("set_table_storage", {"schema": "s", "table": "t", "parameter": "fillfactor", "value": ""}),
        ("set_statistics_target", {"schema": "s", "table": "t", "column": "c", "target": 10_001}),
        ("create_statistics", {"schema": "s", "table": "t", "columns": ["a"]}),
        ("create_statistics", {"schema": "s", "table": "t", "columns": ["a", "b"], "kinds": ["x) ON"]}),
        ("create_partitioned_index", {"schema": "s", "table": "t", "columns": ["a"], "partitions": []}),
        ("add_constraint_not_valid", {"schema": "s", "table": "t", "columns": ["a", "b"]}),
        ("add_constraint_not_valid", {"schema": "s", "table": "t", "columns": ["a"], "referenced_table": "o"}),
        ("vacuum_table", {"schema": "s", "table": "t", "full": True}),
        ("vacuum_table", {"schema": "s", "table": "t", "freeze": "yes"}),
    ],
)
def test_parameters_outside_the_closed_set_are_refused(kind: str, params: dict[str, object]) -> None:
    with pytest.raises(UnknownAction):
        action_from_params(kind, params)  # type: ignore[arg-type]  # hostile on purpose
