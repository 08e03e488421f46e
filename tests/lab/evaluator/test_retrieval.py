"""What remembering alone answers, judged as what was played is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.replay.case import Truth
from agent.replay.utility import CAP_S, HAND_OVER_S
from lab.evaluator.answers import answer
from lab.evaluator.retrieval import answered, remembered
from tests.agent.replay.cases import case
from tests.lab.learn import world

INDEX = case("missing_index", "OrdersSlow")
SURGE = case("traffic_surge")


def test_the_cause_of_the_most_alike_is_answered_at_once_with_their_fix() -> None:
    library = [remembered(number, INDEX, INDEX.truth.component, "missing_index") for number in range(3)]
    row = answered(INDEX, library)
    assert row["mechanism_right"]
    assert row["component_right"]
    assert (row["wrong_fix"], row["harm"], row["mitigate_s"]) == (False, False, INDEX.truth.restore_s)
    assert row["utility"] > 0.95


def test_an_old_fix_on_what_is_not_broken_is_harm() -> None:
    old = replace(SURGE, truth=replace(INDEX.truth))
    row = answered(SURGE, [remembered(0, old, INDEX.truth.component, "missing_index")])
    assert (row["wrong_fix"], row["harm"], row["mitigate_s"]) == (True, True, CAP_S)
    assert row["utility"] == 0.0


def test_what_nobody_may_repair_costs_the_hand_over_when_it_is_named() -> None:
    truth = Truth("bad-deploy", SURGE.service, "bad_deploy", None)
    now = replace(SURGE, truth=truth)
    row = answered(now, [remembered(0, now, SURGE.service, "bad_deploy")])
    assert (row["acted"], row["mitigate_s"]) == (False, HAND_OVER_S)


def test_the_component_is_told_by_its_place_where_it_has_one() -> None:
    elsewhere = replace(INDEX, service="catalog", target="stock-db", truth=replace(INDEX.truth, component="stock-db"))
    row = answered(elsewhere, [remembered(0, INDEX, INDEX.target or "", "missing_index")])
    assert row["component_right"]


def test_nothing_alike_is_no_answer() -> None:
    row = answered(INDEX, [])
    assert (row["abstained"], row["acted"], row["mitigate_s"]) == (True, False, CAP_S)


@pytest.mark.parametrize("exam", [True, False])
def test_only_the_examination_asks_for_it(exam: bool) -> None:
    judge = world.scores(exam=exam)
    told = answer(judge, dict, {"op": "retrieve", "split": "test", "stream": "s", "count": 20, "library": 60})
    if not exam:
        assert "sealed" in told["error"]
        return
    assert len(told["rows"]) == 20
    assert set(told["rows"][0]) == set(judge.examine(judge.load(world.tree()), "test", "s", 1)[0])
    assert not any(row["acted"] for row in told["rows"])  # no train incident of this world was ever repaired
