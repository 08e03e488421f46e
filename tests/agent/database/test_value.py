from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from agent.database.execution import Observed, Progress, RunResult
from agent.database.snapshot import Activity, NotVisible, Plan, Session, Workload
from tests.agent.database.examples import ORDERS, SCAN, SLOW, sample

SESSION = Session(7, "app", "web", "active", None, None, 1.5, None, 3, "2026-11-21", "…", (8,), 2.0, True)


@pytest.mark.parametrize(
    "value",
    [
        sample(statements=(SLOW,), not_visible=(NotVisible("statements", "no right"),)),
        Activity({"active": 1}, {"web": 1}, (SESSION,), 1, 97, ()),
        ORDERS,
        SCAN,
        Observed("building", "process 7", 7, Progress("sorting", 0, 0, "none", None, 8)),
        RunResult("finished", "", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), ("NOTICE: x",)),
    ],
)
def test_a_value_comes_back_from_json_as_it_was(value: Workload | Activity | Plan | Observed | RunResult) -> None:
    assert type(value).from_data(json.loads(json.dumps(value.as_data()))) == value


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"window_s": "3", "statements": []},
        {**sample().as_data(), "statements": {"a": 1}},
        {**sample().as_data(), "statements": [{"queryid": 1}]},
        {**sample().as_data(), "resets_detected": None},
    ],
)
def test_data_of_another_shape_is_refused(spoilt: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a"):
        Workload.from_data(spoilt)


def test_unknown_keys_are_ignored_and_a_whole_number_will_do_for_a_float() -> None:
    read = Workload.from_data({**sample().as_data(), "window_s": 3, "added_later": 1})
    assert (read.window_s, type(read.window_s)) == (3.0, float)


def test_a_state_outside_the_closed_set_is_refused() -> None:
    with pytest.raises(ValueError, match="none of"):
        Observed.from_data({"kind": "probably fine", "detail": ""})


def test_a_plan_is_only_what_explain_gives() -> None:
    others: tuple[object, ...] = (
        None,
        [],
        [{}],
        [{"Plan": {}}],
        [{"Plan": {"Node Type": "Seq Scan", "Total Cost": "9"}}],
    )
    for other in others:
        with pytest.raises(ValueError, match="EXPLAIN"):
            Plan.parse(other)
