from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from guardrails.policy import Policy, UnusablePolicy
from guardrails.verdict import RISKS


def test_without_a_list_nobody_may_approve() -> None:
    assert not Policy.from_mapping({}).may_approve("ada", "shop")
    assert not Policy.from_mapping({"approvers": []}).may_approve("", "shop")


def test_an_approver_may_be_limited_to_targets() -> None:
    policy = Policy.from_mapping({"approvers": ["ada", {"person": "bob", "targets": ["shop"]}]})
    assert policy.may_approve("ada", "anything")
    assert policy.may_approve("bob", "shop")
    assert not policy.may_approve("bob", "billing")
    assert not policy.may_approve("Ada", "shop")


def test_nobody_approves_their_own_proposal_in_production() -> None:
    policy = Policy.from_mapping({"approvers": ["ada"], "policy": {"self_approval_in": ["staging"]}})
    assert not policy.may_approve("ada", "shop", proposer="ada", environment="production")
    assert not policy.may_approve("ada", "shop", proposer="ada")
    assert policy.may_approve("ada", "shop", proposer="ada", environment="staging")
    assert policy.may_approve("ada", "shop", proposer="bob", environment="production")


def test_the_defaults_ask_two_people_for_high_risk() -> None:
    policy = Policy.from_mapping({})
    assert [policy.approvers_needed(risk) for risk in RISKS] == [1, 1, 2]
    assert (policy.decide_within_s, policy.start_within_s) == (900, 1800)


def test_a_freeze_holds_from_its_beginning_to_just_before_its_end() -> None:
    freeze = {"from": "2026-12-24T00:00:00+01:00", "until": datetime(2026, 12, 27, tzinfo=UTC), "reason": "Christmas"}
    policy = Policy.from_mapping({"policy": {"freeze": [freeze]}})
    assert policy.frozen_by(datetime(2026, 12, 23, 22, 59, tzinfo=UTC)) is None
    assert policy.frozen_by(datetime(2026, 12, 23, 23, 0, tzinfo=UTC)) is not None
    assert policy.frozen_by(datetime(2026, 12, 27, tzinfo=UTC)) is None


def test_busy_hours_hold_on_their_days_only() -> None:
    policy = Policy.from_mapping({"policy": {"busy_hours": [{"days": ["sat"], "from": "08:00", "until": "18:00"}]}})
    saturday = datetime(2026, 11, 21, 17, 59, tzinfo=UTC)
    assert policy.is_busy(saturday)
    assert not policy.is_busy(saturday.replace(hour=18))
    assert not policy.is_busy(saturday.replace(day=20))


@pytest.mark.parametrize(
    "document",
    [
        {"policy": {"decide_withn_s": 5}},
        {"policy": {"decide_within_s": 0}},
        {"policy": {"decide_within_s": "15m"}},
        {"policy": {"decide_within_s": True}},
        {"policy": {"decide_within_s": float("inf")}},
        {"policy": {"approvers_needed": {"high": 0}}},
        {"policy": {"approvers_needed": {"low": 3}}},
        {"policy": {"approvers_needed": {"medium": 1.5}}},
        {"policy": {"approvers_needed": {"extreme": 2}}},
        {"policy": {"self_approval_in": ["production"]}},
        {"policy": {"self_approval_in": "staging"}},
        {"policy": {"never": ["create_indx"]}},
        {"policy": {"freeze": [{"from": "2026-12-24", "until": "2026-12-27", "reason": "no zone"}]}},
        {"policy": {"freeze": [{"from": "2026-12-27T00:00Z", "until": "2026-12-24T00:00Z", "reason": "backwards"}]}},
        {"policy": {"freeze": [{"from": "2026-12-24T00:00Z", "until": "2026-12-27T00:00Z"}]}},
        {"policy": {"busy_hours": [{"from": "18:00", "until": "08:00"}]}},
        {"policy": {"busy_hours": [{"from": "8", "until": "9"}]}},
        {"policy": {"busy_hours": [{"days": ["someday"], "from": "08:00", "until": "09:00"}]}},
        {"policy": {"busy_hours": [{"from": "08:00+02:00", "until": "09:00"}]}},
        {"policy": {"busy_hours": {"from": "08:00"}}},
        {"policy": {"rate_limit": {"executions": -1}}},
        {"policy": {"rate_limit": {"per_hour": 3}}},
        {"policy": []},
        {"policy": {1: 2}},
        {"approvers": "ada"},
        {"approvers": ["ada", "ada"]},
        {"approvers": [""]},
        {"approvers": [{"person": "ada", "targets": []}]},
        {"approvers": [{"name": "ada"}]},
        {"approvers": [7]},
    ],
)
def test_what_is_not_understood_is_refused_at_the_start(document: dict[str, Any]) -> None:
    with pytest.raises(UnusablePolicy) as refused:
        Policy.from_mapping(document)
    assert str(refused.value)


def test_what_is_high_risk_is_not_decided_in_a_chat_unless_the_policy_says_so() -> None:
    assert "slack" in Policy().channels("medium")
    assert "slack" not in Policy().channels("high")
    policy = Policy.from_mapping({"policy": {"channels": {"high": ["dashboard"], "low": []}}})
    assert policy.channels("high") == {"dashboard"}
    assert policy.channels("low") == frozenset()
    assert policy.channels("medium") == Policy().channels("medium")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"channels": {"odd": []}}, "no risk 'odd'"),
        ({"channels": {"low": ["telegram"]}}, "unknown 'telegram'"),
        ({"channels": ["slack"]}, "not a mapping"),
        ({"escalate_after_s": 0}, "not a positive number"),
        ({"escalate_to": "ada"}, "not a list"),
    ],
)
def test_a_channel_or_an_escalation_that_is_not_understood_stops_the_start(
    section: dict[str, object], says: str
) -> None:
    with pytest.raises(UnusablePolicy, match=says):
        Policy.from_mapping({"policy": section})


def test_an_escalation_names_its_people_or_all_who_may_approve() -> None:
    people = {"approvers": ["ada", {"person": "bob", "targets": ["billing"]}]}
    assert Policy.from_mapping(people).told_when_nobody_decides("shop") == ("ada",)
    named = Policy.from_mapping({**people, "policy": {"escalate_to": ["the lead"]}})
    assert named.told_when_nobody_decides("shop") == ("the lead",)
