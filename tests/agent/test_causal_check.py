from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agent.causal_check import Around, told
from causal.rank import RankedService, Ranking

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AROUND = Around(
    service="storefront",
    target="orders-db",
    expr=None,
    start=NOW,
    end=NOW,
    impact_start=NOW,
    detected=NOW,
    step_s=1.0,
    metrics=(),
    graph=(("storefront", "orders"), ("storefront", "payments"), ("orders", "orders-db")),
)
RANKING = Ranking(
    abstained=False,
    confidence=0.9,
    services=(RankedService("orders", 0.9, 8.0),),
    metrics=(),
    change=None,
    ruled_out=(),
    not_visible=(),
    paths=(),
)


def test_who_calls_the_target_speaks_for_the_target() -> None:
    payments = replace(RANKING, services=(RankedService("payments", 0.9, 8.0),))

    assert told(AROUND, "target_leads", RANKING, {}).status == "yes"
    assert told(AROUND, "target_leads", payments, {}).status == "no"
    assert told(AROUND, "any_leads", payments, {}).status == "yes"


def test_the_way_to_the_target_is_by_its_caller_that_stands_out() -> None:
    around = replace(AROUND, graph=(("storefront", "catalog"), ("catalog", "orders-db"), *AROUND.graph))
    first = replace(RANKING, services=(RankedService("orders-db", 0.7, 9.0), RankedService("orders", 0.2, 3.0)))

    assert told(around, "target_leads", first, {}).data["paths"] == [["storefront", "orders", "orders-db"]]
    alone = replace(RANKING, services=(RankedService("orders-db", 0.9, 9.0),))
    assert told(around, "target_leads", alone, {}).data["paths"] == [["storefront", "catalog", "orders-db"]]


def test_when_nobody_stands_out_nobody_leads_and_whether_the_target_does_stays_open() -> None:
    for ranking in (replace(RANKING, abstained=True), replace(RANKING, services=())):
        assert told(AROUND, "any_leads", ranking, {}).status == "no"
        assert told(AROUND, "target_leads", ranking, {}).status == "not_visible"
