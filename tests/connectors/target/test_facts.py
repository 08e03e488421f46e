from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.target.diagnose import Diagnosis
from guardrails.action import CreateIndexConcurrently
from guardrails.judge import judge
from tests.connectors.target.approval import POLICY

if TYPE_CHECKING:
    from guardrails.facts import Facts
    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

BY_ID = CreateIndexConcurrently("public", "orders", ("id",))
BY_CUSTOMER = CreateIndexConcurrently("public", "orders", ("customer_id",))


def collected(dsn: str, action: CreateIndexConcurrently) -> tuple[Facts, list[str]]:
    with Diagnosis(dsn, "shop") as diagnosis:
        facts, not_visible = diagnosis.facts(action, environment="staging", now=datetime.now(UTC))
    return facts, [gap.what for gap in not_visible]


def test_the_judge_gets_table_indexes_and_version(shop: Shop) -> None:
    facts, _ = collected(shop.diagnose, BY_CUSTOMER)
    table = facts.table("public", "orders")
    assert table is not None
    assert (table.columns, table.kind, table.rows) == (("id", "customer_id", "status", "created_at"), "r", 200_000)
    assert [index.columns for index in facts.indexes_on("public", "orders")] == [("id",)]
    assert judge(BY_CUSTOMER, facts, POLICY, proposal_id="P-1").allowed
    assert not judge(BY_ID, facts, POLICY, proposal_id="P-1").allowed


def test_free_disk_is_known_on_our_own_machine_to_who_is_shown_the_directory(shop: Shop) -> None:
    facts, gaps = collected(shop.diagnose, BY_CUSTOMER)
    assert facts.free_disk_bytes is not None
    assert facts.disk_bytes is not None
    assert 0 < facts.free_disk_bytes < facts.disk_bytes
    assert "free disk space" not in gaps
    hidden, gaps = collected(shop.stranger, BY_CUSTOMER)
    assert (hidden.free_disk_bytes, "free disk space" in gaps) == (None, True)


def test_a_role_without_rights_is_told_whose_transactions_it_cannot_see(shop: Shop) -> None:
    with psycopg.connect(shop.app) as app:
        app.execute("SELECT 1")
        _, gaps = collected(shop.stranger, BY_CUSTOMER)
        _, seen = collected(shop.diagnose, BY_CUSTOMER)
    assert any(gap.startswith("the transactions of") for gap in gaps)
    assert seen == []


def test_a_command_that_holds_the_table_is_named(shop: Shop, admin: psycopg.Connection) -> None:
    with psycopg.connect(shop.admin) as holder:
        holder.execute("LOCK TABLE public.orders IN SHARE UPDATE EXCLUSIVE MODE")
        facts, _ = collected(shop.diagnose, BY_CUSTOMER)
        holder.rollback()
    assert [(running.pid, running.what) for running in facts.running] == [
        (facts.running[0].pid, "a command with ShareUpdateExclusiveLock")
    ]
    assert admin.info.backend_pid != facts.running[0].pid


def test_a_table_that_is_not_there_is_no_table(shop: Shop) -> None:
    facts, _ = collected(shop.diagnose, CreateIndexConcurrently("public", "nowhere", ("id",)))
    assert facts.catalog == ()
    verdict = judge(CreateIndexConcurrently("public", "nowhere", ("id",)), facts, POLICY, proposal_id="P-1")
    assert not verdict.allowed
