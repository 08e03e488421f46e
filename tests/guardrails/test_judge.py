from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guardrails.action import CreateIndexConcurrently
from guardrails.approved import SEAL, Approved, NotAdmitted
from guardrails.facts import IndexFacts, RunningOperation, TableFacts, TransactionFacts
from guardrails.judge import judge
from guardrails.permit import SigningKey, VerifyKeys, digest, sign
from guardrails.policy import Policy
from guardrails.verdict import Refused, Verdict
from tests.guardrails.examples import KEY, NOW, ORDERS, POLICY, Attempt, document, facts, permit


def judged(action: CreateIndexConcurrently = ORDERS, policy: Policy = POLICY, **changes: Any) -> Verdict:
    return judge(action, facts(**changes), policy, proposal_id="P-1")


def rules(verdict: Verdict, level: str) -> set[str]:
    return {finding.rule for finding in verdict.findings if finding.level == level}


def test_a_plain_index_is_allowed_and_its_lock_is_named() -> None:
    verdict = judged()
    assert verdict.allowed
    assert [(lock.relation, lock.mode) for lock in verdict.locks] == [("public.orders", "ShareUpdateExclusiveLock")]
    assert (verdict.risk, verdict.approvers_needed) == ("medium", 1)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"catalog": ()}, "unknown_relation"),
        ({"catalog": (TableFacts("public", "orders", ("id",)),)}, "unknown_column"),
        ({"catalog": (TableFacts("public", "orders", ("customer_id",), kind="p"),)}, "unsuitable_relation"),
        ({"server_version_num": 140003}, "concurrent_index_corruption"),
        ({"server_version_num": 140000}, "concurrent_index_corruption"),
        ({"server_version_num": 110022}, "unsupported_version"),
        ({"in_recovery": True}, "standby"),
        ({"free_disk_bytes": 1000}, "disk_space"),
        ({"indexes": (IndexFacts("public", "i", "orders", ("customer_id", "id")),)}, "index_exists"),
        ({"running": (RunningOperation(7, "CREATE INDEX CONCURRENTLY", "public", "orders"),)}, "table_busy"),
        ({"recent_executions": 6}, "rate_limit"),
    ],
)
def test_what_the_target_says_against_it_refuses(changes: dict[str, Any], rule: str) -> None:
    verdict = judged(**changes)
    assert not verdict.allowed
    assert rule in rules(verdict, "refuse")


def test_14_4_is_past_the_corruption() -> None:
    assert judged(server_version_num=140004).allowed


def test_an_old_snapshot_or_writer_is_shown_but_does_not_refuse() -> None:
    waiting = (
        TransactionFacts(1, 3600, "idle in transaction", holds_snapshot=True),
        TransactionFacts(2, 3600, "active", holds_snapshot=False, writes=(("public", "orders"),)),
        TransactionFacts(3, 3600, "active", holds_snapshot=False, writes=(("public", "other"),)),
        TransactionFacts(4, 1, "active", holds_snapshot=True),
    )
    verdict = judged(transactions=waiting)
    assert verdict.allowed
    whys = [finding.why for finding in verdict.findings if finding.rule == "long_transaction"]
    assert [why.split()[1] for why in whys] == ["1", "2"]


def test_an_invalid_index_of_our_own_name_must_be_dropped_first() -> None:
    name = judged().rendered.object_name
    assert name is not None
    verdict = judged(indexes=(IndexFacts("public", name, "orders", ("customer_id",), valid=False),))
    assert "invalid_index" in rules(verdict, "refuse")
    stranger = judged(indexes=(IndexFacts("public", "other", "orders", ("customer_id",), valid=False),))
    assert stranger.allowed
    assert "invalid_index" in rules(stranger, "warn")


def test_a_partial_index_on_the_same_column_does_not_count_as_the_same() -> None:
    partial = IndexFacts("public", "p", "orders", ("customer_id",), partial=True)
    assert judged(indexes=(partial,)).allowed


def test_a_system_relation_is_left_alone() -> None:
    action = CreateIndexConcurrently("pg_catalog", "pg_class", ("relname",))
    verdict = judged(action, catalog=(TableFacts("pg_catalog", "pg_class", ("relname",)),))
    assert "system_relation" in rules(verdict, "refuse")


def test_the_risk_follows_from_environment_and_size() -> None:
    assert judged(environment="staging").risk == "low"
    assert judged(environment="").risk == "medium"
    huge = judged(catalog=(TableFacts("public", "orders", ("customer_id",), bytes=2**40),))
    assert (huge.risk, huge.approvers_needed) == ("high", 2)


def test_busy_hours_raise_the_risk_by_one() -> None:
    busy = Policy.from_mapping({"policy": {"busy_hours": [{"from": "00:00", "until": "23:59"}]}})
    assert judged(policy=busy).risk == "high"
    assert judged(policy=busy, environment="staging").risk == "medium"


def test_the_never_list_and_a_freeze_refuse() -> None:
    never = Policy.from_mapping({"approvers": ["ada"], "policy": {"never": ["create_index_concurrently"]}})
    assert "never_list" in rules(judged(policy=never), "refuse")
    freeze = {"from": "2026-11-21T00:00:00Z", "until": "2026-11-22T00:00:00Z", "reason": "Black Friday"}
    assert "freeze_window" in rules(judged(policy=Policy.from_mapping({"policy": {"freeze": [freeze]}})), "refuse")


def test_a_signed_document_is_admitted() -> None:
    admitted = Attempt().admitted()
    assert isinstance(admitted, Approved)
    assert admitted.action == ORDERS
    assert admitted.approvers == ("ada",)
    assert admitted.rendered.command == document()["command"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", 2),
        ("incident", "INC-2"),
        ("proposal", "P-2"),
        ("revision", 2),
        ("target", {"kind": "postgresql", "identity": {"system_identifier": "1", "database": "shop"}}),
        ("action", "drop_table"),
        ("params", {"schema": "public", "table": "orders", "columns": ["id"], "method": "btree"}),
        ("command", "DROP TABLE public.orders"),
        ("cleanup", ""),
        ("rollback", ""),
        ("verification", {"window_s": 0}),
        ("decide_by", "2026-11-22T12:00:00.000000Z"),
        ("start_by", "2027-11-21T12:00:00.000000Z"),
        ("approvers_needed", 0),
        ("extra", "field"),
    ],
)
def test_a_document_changed_after_approval_is_refused(key: str, value: object) -> None:
    attempt = Attempt(document=document() | {key: value})
    assert isinstance(attempt.admitted(), Refused)


@pytest.mark.parametrize("key", sorted(document()))
def test_a_document_that_lost_a_field_is_refused(key: str) -> None:
    spoiled = document()
    del spoiled[key]
    assert isinstance(Attempt(document=spoiled).admitted(), Refused)


@pytest.mark.parametrize(
    "changes",
    [
        {"now": NOW + timedelta(seconds=2700)},
        {"paused": "database team is on it"},
        {"target_identity": {"system_identifier": "2", "database": "shop"}},
        {"target": "other", "policy": Policy.from_mapping({"approvers": [{"person": "ada", "targets": ["shop"]}]})},
        {"policy": Policy()},
        {"approval_id": "A-2"},
        {"keys": VerifyKeys.from_text("")},
        {"keys": VerifyKeys.from_text(SigningKey.generate("api-1").public_text())},
        {"keys": VerifyKeys.from_text(SigningKey.generate("api-9").public_text())},
        {
            "policy": Policy.from_mapping(
                {"approvers": ["ada", "bob"], "policy": {"approvers_needed": {"medium": 2, "high": 2}}}
            )
        },
        {"params": {"schema": "public", "table": "orders", "columns": ["id"], "method": "btree"}},
        {"kind": "drop_table"},
        {"facts": facts(in_recovery=True)},
        {"approved_digest": "0" * 64},
    ],
)
def test_an_executor_that_sees_something_else_refuses(changes: dict[str, Any]) -> None:
    refused = Attempt(changes=changes).admitted()
    assert isinstance(refused, Refused)
    assert all(refused.reasons)


@pytest.mark.parametrize(
    "permits",
    [
        [],
        [permit("eve")],
        [permit("mallory")],
        [permit(approval_id="A-9")],
        [permit(signed=document() | {"revision": 2})],
        [permit(decided_at=NOW + timedelta(hours=1))],
        [replace(permit(), person="bob")],
        [replace(permit(), signature="AAAA")],
        [replace(permit(), signature="not base64 ü")],
        [replace(permit(), decided_at=NOW - timedelta(seconds=1))],
        [replace(permit(), decided_at=datetime(2026, 11, 21))],  # noqa: DTZ001 a naive time is the attack
        [replace(permit(), key_id="api-2")],
    ],
)
def test_a_permit_that_does_not_count_refuses(permits: list[Any]) -> None:
    assert isinstance(Attempt(permits=permits).admitted(), Refused)


def test_one_person_signing_twice_is_one_approver() -> None:
    two = document(approvers_needed=2)
    changes = {"approved_digest": digest(two)}
    ada, bob = permit("ada", two), permit("bob", two)
    later = sign(KEY, approval_id="A-1", digest=digest(two), person="ada", decided_at=NOW + timedelta(seconds=5))
    assert isinstance(Attempt(two, [ada, later], changes).admitted(), Refused)
    admitted = Attempt(two, [ada, later, bob], changes).admitted()
    assert isinstance(admitted, Approved)
    assert admitted.approvers == ("ada", "bob")


def test_a_bad_permit_beside_enough_good_ones_does_no_harm() -> None:
    assert isinstance(Attempt(permits=[permit("mallory"), permit("ada")]).admitted(), Approved)


def test_only_the_seal_makes_an_approved() -> None:
    admitted = Attempt().admitted()
    assert isinstance(admitted, Approved)
    with pytest.raises(NotAdmitted):
        Approved(ORDERS, admitted.rendered, "A-1", "", (), NOW, object())  # type: ignore[arg-type]  # the attack
    with pytest.raises(ValueError, match="seal"):
        replace(admitted, approval_id="A-2")  # type: ignore[call-arg]  # the attack
    assert SEAL is not None


def test_a_freeze_that_began_after_the_approval_stops_the_start() -> None:
    freeze = {"from": NOW.astimezone(UTC).isoformat(), "until": "2026-12-01T00:00:00Z", "reason": "incident call"}
    frozen = Policy.from_mapping({"approvers": ["ada"], "policy": {"freeze": [freeze]}})
    assert isinstance(Attempt(changes={"policy": frozen}).admitted(), Refused)
