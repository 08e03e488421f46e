from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agent.metric_checks import RECENT_CHANGE_S, SLACK_S, SURGE, Change, recent_change, traffic_surge
from agent.ports import Series, total

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPACT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def series(*values: float | None) -> Series:
    """A sample each second from -5 on; the impact is at 0."""
    known = np.array([math.nan if v is None else v for v in values], dtype=float)
    return Series({}, np.arange(len(values), dtype=float) - 5, known)


@pytest.mark.parametrize(
    ("shown", "status", "says"),
    [
        ([series(*[10] * 10)], "no", "x1.00"),
        ([series(*[10] * 5, *[10 * SURGE] * 5)], "yes", "15.0/s since the impact, 10.0/s before (x1.50)"),
        ([series(*[10] * 5, *[14.9] * 5)], "no", "x1.49"),
        ([series(*[10] * 5, *[2] * 5)], "no", "x0.20"),
        ([series(*[10] * 5, *[5] * 5), series(*[10] * 5, *[40] * 5)], "yes", "45.0/s since the impact, 20.0/s before"),
        ([series(*[10] * 5, *[None] * 5), series(*[10] * 5, *[40] * 5)], "yes", "40.0/s since the impact"),
        ([series(10, None, 10, None, 10, 10, None, 10, 1000, 10)], "no", "x1.00"),
        ([], "not_visible", "no traffic metric"),
        ([series(*[None] * 5, *[10] * 5)], "not_visible", "both sides"),
        ([series(*[10] * 5, *[None] * 5)], "not_visible", "both sides"),
        ([series(*[0] * 5, *[10] * 5)], "not_visible", "both sides"),
        ([series(*[10] * 5)], "not_visible", "both sides"),
    ],
)
def test_a_surge_is_traffic_well_above_what_it_was(shown: Sequence[Series], status: str, says: str) -> None:
    answer = traffic_surge(shown, 0.0)
    assert answer.status == status
    assert says in answer.summary
    json.dumps(answer.data, allow_nan=False)


def test_nothing_is_not_zero_when_series_are_summed() -> None:
    assert total([series(None, 1, 2), series(None, None, 3)]).tolist() == pytest.approx([math.nan, 1, 5], nan_ok=True)


def change(service: str = "orders", seconds_before: float = 60, version: str | None = "v2") -> Change:
    return Change(service, version, "drop an index", IMPACT - timedelta(seconds=seconds_before))


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ([], "no", "no change of orders, shop was announced"),
        ([change()], "yes", "orders v2 changed 60 s before the impact: drop an index"),
        ([change(version=None)], "yes", "orders changed 60 s before"),
        ([change("shop")], "yes", "shop v2"),
        ([change("billing")], "no", "no change"),
        ([change(seconds_before=RECENT_CHANGE_S)], "yes", "900 s before"),
        ([change(seconds_before=RECENT_CHANGE_S + 1)], "no", "no change"),
        ([change(seconds_before=-SLACK_S)], "yes", "30 s after the impact was first seen"),
        ([change(seconds_before=-SLACK_S - 1)], "no", "no change"),
        ([change(seconds_before=60), change("shop", 10)], "yes", "shop v2 changed 10 s before"),
    ],
)
def test_a_change_shortly_before_the_impact_can_be_its_reason(
    changes: Sequence[Change], status: str, says: str
) -> None:
    answer = recent_change(changes, ["orders", "shop"], IMPACT)
    assert answer.status == status
    assert says in answer.summary
    json.dumps(answer.data, allow_nan=False)


def test_a_long_story_is_cut_in_the_summary_and_whole_in_the_evidence() -> None:
    answer = recent_change([Change("orders", None, "x" * 5_000, IMPACT)], ["orders"], IMPACT)
    assert len(answer.summary) < 250
    assert len(answer.data["changes"][0]["summary"]) == 5_000
