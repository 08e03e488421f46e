from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest

from agent.runbook.predicate import Predicate, read_predicate
from agent.runbook.skill import UnusableSkill
from tests.agent.examples import DIAGNOSIS, skill

AGE = Predicate(("findings", "0", "age_s"), "ge", 20, (10, 600))


def seen(age: Any) -> dict[str, Any]:
    return {"findings": [{"age_s": age}]}


@pytest.mark.parametrize(
    ("said", "data", "status"),
    [
        ("no", seen(20), "yes"),
        ("yes", seen(19.9), "no"),
        ("yes", {}, "yes"),
        ("no", {"findings": []}, "no"),
        ("yes", seen("old"), "yes"),
        ("yes", seen(math.nan), "yes"),
        ("no", seen(math.inf), "yes"),
        ("not_visible", seen(1000), "not_visible"),
        ("note", seen(1000), "note"),
    ],
)
def test_the_figure_decides_where_there_is_one(said: Any, data: dict[str, Any], status: str) -> None:
    assert AGE.status(said, data) == status


@pytest.mark.parametrize(("op", "yes"), [("ge", (2, 3)), ("gt", (3,)), ("le", (1, 2)), ("lt", (1,))])
def test_each_relation_means_what_it_says(op: Any, yes: tuple[int, ...]) -> None:
    threshold = Predicate(("n",), op, 2, (0, 9))
    assert tuple(n for n in (1, 2, 3) if threshold.status("no", {"n": n}) == "yes") == yes


def test_a_flag_counts_as_one_or_nothing() -> None:
    flag = Predicate(("leak",), "ge", 1, (1, 1))
    assert [flag.status("yes", {"leak": leak}) for leak in (True, False)] == ["yes", "no"]


GOOD = {"field": "a.b", "op": "gt", "threshold": 2, "bounds": [1, 3]}


def test_a_predicate_is_read_and_may_be_left_out() -> None:
    assert read_predicate("here", GOOD) == Predicate(("a", "b"), "gt", 2, (1, 3))
    assert read_predicate("here", None) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"op": "=="}, "op is one of"),
        ({"field": "a..b"}, "is no path"),
        ({"threshold": 4}, "not within 1 to 3"),
        ({"threshold": math.nan}, "no finite number"),
        ({"threshold": True}, "no finite number"),
        ({"bounds": [1, math.inf]}, "no finite number"),
        ({"bounds": [3, 1]}, "not within"),
        ({"bounds": [1]}, "skill slow-shop"),
        ({"bounds": "12"}, "no finite number"),
        ({"extra": 1}, "has no 'extra'"),
    ],
)
def test_a_broken_predicate_is_refused_with_its_place(change: dict[str, Any], says: str) -> None:
    broken = deepcopy(dict(DIAGNOSIS))
    broken["checks"][2]["predicate"] = {**GOOD, **change}
    with pytest.raises(UnusableSkill, match=says):
        skill(broken)


def test_otherwise_is_a_word_for_the_causes_a_check_does_not_name() -> None:
    written = deepcopy(dict(DIAGNOSIS))
    written["checks"][3]["otherwise"] = "against"
    assert skill(written).checks["surge"].yes_given["missing_index"] == skill().parameters.against
    written["checks"][3]["otherwise"] = "hardly"
    with pytest.raises(UnusableSkill, match="strength 'hardly'"):
        skill(written)


def test_a_component_is_one_of_three() -> None:
    written = deepcopy(dict(DIAGNOSIS))
    written["causes"]["traffic_surge"]["component"] = "ranked"
    assert skill(written).causes["traffic_surge"].component == "ranked"
    written["causes"]["traffic_surge"]["component"] = "moon"
    with pytest.raises(UnusableSkill, match="component of traffic_surge"):
        skill(written)
