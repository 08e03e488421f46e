from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.memory.case import PastCase, case_of, learnable, origins
from agent.memory.similar import HALF_LIFE_DAYS, MOST_CASES, Features, recall, role, tagged
from tests.agent.memory.posts import post

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LABELS = {"alertname": "OrdersSlow", "service": "orders", "severity": "page", "team": "shop"}
HERE = Features("OrdersSlow", "orders", LABELS, "middle", ("deploy",), known_changes=True, cause=None)


def past(number: int, *, days: float = 0.0, **changes: Any) -> PastCase:
    return replace(case_of(post(number), NOW - timedelta(days=days)), **changes)


def test_the_same_alert_on_the_same_service_with_the_same_change_is_as_similar_as_can_be() -> None:
    found = recall(HERE, [past(3)], asked=(), now=NOW)
    (one,) = found.incidents
    assert one.score == 1.0
    assert one.same == ("alert", "service", "labels", "role", "change")
    assert one.origin_id.startswith("INC-3@")


def test_each_thing_shared_raises_the_score() -> None:
    strange = past(3, alertname="Other", service="search", labels={"team": "web"}, role="leaf", changes=())
    scores = [0.0]
    for shared in ({"alertname": "OrdersSlow"}, {"service": "orders"}, {"role": "middle"}, {"changes": ("deploy",)}):
        strange = replace(strange, **shared)
        seen = recall(HERE, [strange], asked=(), now=NOW).incidents
        scores.append(seen[0].score if seen else 0.0)
    assert scores == sorted(set(scores))


def test_what_is_not_known_is_left_out_and_not_held_against_a_case() -> None:
    bare = Features("OrdersSlow", None, {}, None, (), known_changes=False, cause=None)
    assert recall(bare, [past(3, labels={})], asked=(), now=NOW).incidents[0].score == 1.0


def test_a_memory_fades_by_half_each_quarter() -> None:
    fresh, old = (
        recall(HERE, [past(3, days=days)], asked=(), now=NOW).incidents[0].score for days in (0.0, HALF_LIFE_DAYS)
    )
    assert old == pytest.approx(fresh / 2)
    assert recall(HERE, [past(3, days=3 * HALF_LIFE_DAYS)], asked=(), now=NOW).incidents == ()


def test_a_cause_that_nobody_confirmed_counts_for_half() -> None:
    assert recall(HERE, [past(3, confirmed=None)], asked=(), now=NOW).incidents[0].score == 0.5


def test_nothing_alike_is_an_answer() -> None:
    other = past(3, alertname="DiskFull", service="search", labels={}, role="leaf", changes=("change",))
    found = recall(HERE, [other], asked=(), now=NOW)
    assert (found.incidents, found.hypotheses, found.margin, found.clear) == ((), (), None, False)


def test_an_incident_recalls_neither_itself_nor_what_has_expired_nor_what_had_no_cause() -> None:
    cases = [past(3), past(4, expires=NOW), past(5, cause=None)]
    assert recall(HERE, cases, asked=(), now=NOW, of=3).incidents == ()


def test_a_hypothesis_says_which_of_its_checks_were_missed() -> None:
    leak = past(4, cause="connection_leak", title="Leak", found_by=("database:connections_exhausted",))
    found = recall(HERE, [past(3), leak], asked=["database:slow_statement"], now=NOW)
    index, other = sorted(found.hypotheses, key=lambda one: one.cause, reverse=True)
    assert index.found_by == ("database:slow_statement", "database:index_would_help")
    assert index.missed == ("database:index_would_help",)
    assert other.missed == ("database:connections_exhausted",)


def test_the_same_alert_with_two_causes_has_no_clear_leader() -> None:
    """Anchoring is what memory does wrong: the margin says that the alert alone tells nothing."""
    cases = [past(3), past(4, cause="connection_leak")]
    found = recall(HERE, cases, asked=(), now=NOW)
    assert found.margin == 0.0
    assert not found.clear
    assert recall(HERE, [*cases, past(5), past(6)], asked=(), now=NOW).clear


def test_many_cases_of_one_cause_make_one_hypothesis_and_few_are_shown() -> None:
    found = recall(HERE, [past(number) for number in range(3, 40)], asked=(), now=NOW)
    assert len(found.incidents) == MOST_CASES
    (one,) = found.hypotheses
    assert len(one.incidents) == 37
    assert found.margin == 1.0


def test_the_order_of_cases_changes_nothing() -> None:
    cases = [past(number, days=number) for number in range(3, 12)]
    assert recall(HERE, cases, asked=(), now=NOW) == recall(HERE, cases[::-1], asked=(), now=NOW)


def test_everything_recalled_carries_its_origin_and_can_be_taken_out_again() -> None:
    data = tagged(recall(HERE, [past(3), past(4)], asked=(), now=NOW))
    assert len(origins(data)) >= 2
    kept = learnable({"recalled": data, "own": 1})
    assert kept["own"] == 1
    assert kept["recalled"]["incidents"] == []
    assert kept["recalled"]["hypotheses"] == []


@pytest.mark.parametrize(
    ("service", "place"),
    [("storefront", "entry"), ("orders", "middle"), ("orders-db", "leaf"), ("unheard-of", None), (None, None)],
)
def test_a_services_place_in_the_graph(service: str | None, place: str | None) -> None:
    assert role(service, [("storefront", "orders"), ("orders", "orders-db")]) == place
