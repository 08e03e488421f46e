"""What a fix changed, read from a real server's own counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.execution import Statement, Terms
from connectors.target.fix import FixConnection
from guardrails.action import CreateIndexConcurrently
from tests.connectors.target.approval import POLICY, approved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.database.execution import Counters, Effect
    from guardrails.approved import Approved
    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

LOOK_UP = "SELECT count(*) FROM public.effects WHERE a = %s"
_TABLE = """
CREATE TABLE public.effects (id int PRIMARY KEY, a int, b int) WITH (fillfactor = 50);
INSERT INTO public.effects SELECT g, g, g FROM generate_series(1, 100000) g;
ALTER TABLE public.effects OWNER TO shop_owner;
VACUUM ANALYZE public.effects;
"""


@pytest.fixture
def fix(shop: Shop) -> Iterator[FixConnection]:
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        for statement in filter(str.strip, _TABLE.split(";")):
            admin.execute(statement.encode())
        admin.execute("SELECT pg_stat_statements_reset()")
    with FixConnection(shop.fix, "shop", policy=POLICY, environment="staging") as connection:
        connection.identity()
        yield connection
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        admin.execute("DROP TABLE public.effects")
        admin.execute("TRUNCATE stanch_guard.claim")


def look_up(shop: Shop, times: int) -> None:
    with psycopg.connect(shop.app, autocommit=True) as app:
        for number in range(times):
            app.execute(LOOK_UP, (number,), prepare=True)


def update(shop: Shop, times: int) -> None:
    with psycopg.connect(shop.app, autocommit=True) as app:
        for number in range(1, times + 1):
            app.execute("UPDATE public.effects SET a = -a, b = b + 1 WHERE id = %s", (number,))


def statement(shop: Shop) -> Statement:
    """The look-up, as a check that found it slow hands it on."""
    with psycopg.connect(shop.admin) as admin:
        found = admin.execute(
            "SELECT queryid::text, calls, mean_exec_time FROM pg_stat_statements"
            " WHERE query LIKE 'SELECT count(*) FROM public.effects%'"
        ).fetchone()
    assert found is not None
    return Statement(found[0], "shop_app", round(1000 * found[2]), found[1])


def built(fix: FixConnection, terms: Terms, column: str) -> tuple[Approved[CreateIndexConcurrently], Counters]:
    approval = approved(CreateIndexConcurrently("public", "effects", (column,)), fix.identity(), f"P-{column}")
    fix.claim(approval.approval_id, "run", 0, "run", "X-1")
    result = fix.run(approval, "X-1", lambda _: None, terms)
    assert result.status == "finished", result
    assert result.before is not None
    return approval, result.before  # type: ignore[return-value]  # the action is the one given


def changed(fix: FixConnection, shop: Shop, column: str, calls: int) -> Effect:
    terms = Terms(statement=statement(shop))
    approval, before = built(fix, terms, column)
    look_up(shop, calls)
    return fix.effect(approval, before, terms)


def test_a_statement_that_got_faster_is_a_reason_to_keep_the_index(fix: FixConnection, shop: Shop) -> None:
    look_up(shop, 25)
    found = changed(fix, shop, "a", 30)
    assert found.advice == "keep", found
    assert found.plan_uses_index is True
    assert found.calls_after == 30
    assert found.mean_ms_before is not None
    assert found.mean_ms_after is not None
    assert found.mean_ms_after < found.mean_ms_before
    assert found.index_scans is not None
    assert found.not_visible == ()


def test_an_index_that_the_statement_does_not_use_is_offered_back(fix: FixConnection, shop: Shop) -> None:
    look_up(shop, 25)
    found = changed(fix, shop, "b", 30)
    assert (found.advice, found.plan_uses_index) == ("roll_back", False)
    assert "did not make the statement faster, and a rollback is at hand" in found.summary
    assert "its plan does not use the index" in found.summary


def test_a_few_calls_say_nothing_yet(fix: FixConnection, shop: Shop) -> None:
    look_up(shop, 25)
    found = changed(fix, shop, "a", 3)
    assert (found.advice, found.calls_after, found.mean_ms_after) == ("open", 3, None)
    assert "not enough calls since the fix: 3 of 20" in found.summary


def test_updates_that_touch_the_new_index_are_told(fix: FixConnection, shop: Shop) -> None:
    look_up(shop, 25)
    update(shop, 200)
    terms = Terms(statement=statement(shop))
    approval, before = built(fix, terms, "a")
    update(shop, 200)
    look_up(shop, 30)
    found = fix.effect(approval, before, terms)
    assert found.hot_share_before is not None
    assert found.hot_share_after is not None
    assert found.hot_share_before > 0.9
    assert found.hot_share_after == 0
    assert "HOT updates of the table fell from" in found.summary


def test_a_fix_for_no_statement_is_left_to_the_alert(fix: FixConnection) -> None:
    approval, before = built(fix, Terms(), "a")
    found = fix.effect(approval, before, Terms())
    assert (found.advice, found.plan_uses_index) == ("open", None)
    assert "only the alert tells" in found.summary


def test_a_statement_that_is_no_longer_counted_is_said_to_be_hidden(fix: FixConnection, shop: Shop) -> None:
    look_up(shop, 25)
    terms = Terms(statement=Statement("42", "shop_app", 1000, 10))
    approval, before = built(fix, terms, "a")
    found = fix.effect(approval, before, terms)
    assert found.advice == "open"
    assert any("counters" in gap for gap in found.not_visible)
    assert any("no longer in pg_stat_statements" in gap for gap in found.not_visible)
