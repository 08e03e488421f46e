from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agent.metric_checks import (
    METRIC_CHECKS,
    RECENT_CHANGE_S,
    SLACK_S,
    SURGE,
    Change,
    Family,
    Seen,
    ask,
    recent_change,
    traffic_surge,
)
from agent.ports import Series, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.metric_checks import Kind

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


CALLEES = {"shop": ("orders", "payments"), "orders": ("orders-db",)}
DEPLOYED = Change("orders", "v2", "new basket", datetime.fromtimestamp(-60, tz=UTC))


def family(name: str, kind: Kind, **services: tuple[float, float]) -> Family:
    """Five samples before the impact and five after it; `orders_db` stands for orders-db."""
    shown = {
        service.replace("_", "-"): series(*[before] * 5, *[now] * 5) for service, (before, now) in services.items()
    }
    return Family(name, kind, shown)


def seen(*families: Family, service: str | None = "shop", changes: Sequence[Change] = ()) -> Seen:
    return Seen(families, CALLEES, frozenset({"orders-db"}), service, 0.0, changes)


REQUESTS = family("requests_per_second", "traffic", shop=(60, 60), orders=(50, 50), payments=(10, 10))
FAILING = family("errors_per_second", "errors", shop=(0, 20), orders=(0, 25), payments=(0, 0))


@pytest.mark.parametrize(
    ("name", "shown", "status", "says"),
    [
        ("traffic_surge", seen(REQUESTS), "no", "60.0/s since the impact"),
        ("traffic_surge", seen(family("requests", "traffic", shop=(10, 30), orders=(9, 9))), "yes", "x3.00"),
        ("traffic_surge", seen(Family("all", "traffic", {"": series(*[10] * 5, *[30] * 5)})), "yes", "x3.00"),
        ("traffic_surge", seen(), "not_visible", "no traffic metric"),
        ("error_rate_rose", seen(REQUESTS, FAILING), "yes", "orders fails 50.0% of its requests, 0.0% before"),
        ("error_rate_rose", seen(REQUESTS, FAILING, service="payments"), "no", "payments fails 0.0%"),
        ("error_rate_rose", seen(REQUESTS, FAILING, service=None), "yes", "orders fails"),
        ("error_rate_rose", seen(REQUESTS), "not_visible", "no error and traffic"),
        ("error_rate_rose", seen(REQUESTS, family("e", "errors", shop=(0.6, 0.7))), "no", "shop fails 1.2%"),
        ("errors_follow_a_change", seen(REQUESTS, FAILING, changes=[DEPLOYED]), "yes", "orders v2 changed 60 s before"),
        ("errors_follow_a_change", seen(REQUESTS, FAILING), "no", "no change of orders"),
        ("errors_follow_a_change", seen(REQUESTS, changes=[DEPLOYED]), "not_visible", "no error and traffic"),
        (
            "slow_callee",
            seen(family("p99", "latency", shop=(0.1, 2), payments=(0.05, 1.9))),
            "yes",
            "payments p99 is 1.9",
        ),
        ("slow_callee", seen(family("p99", "latency", shop=(0.1, 2), payments=(0.05, 0.05))), "no", "begins at shop"),
        (
            "slow_callee",
            seen(family("p99", "latency", shop=(0.1, 0.1), payments=(0.05, 0.06))),
            "no",
            "nothing it calls",
        ),
        (
            "slow_callee",
            seen(family("p99", "latency", shop=(0.1, 2), orders=(0.1, 2), orders_db=(0.2, 3))),
            "no",
            "begins at orders-db",
        ),
        (
            "slow_callee",
            seen(family("p99", "latency", shop=(0.1, 2))),
            "not_visible",
            "no latency of anything it calls",
        ),
        (
            "cpu_saturated",
            seen(family("cpu_cores", "saturation", shop=(0.2, 0.3), orders=(0.2, 0.97))),
            "yes",
            "orders uses",
        ),
        ("cpu_saturated", seen(family("cpu_cores", "saturation", orders=(0.9, 0.97))), "no", "orders uses 0.97"),
        ("cpu_saturated", seen(family("pool_in_use", "saturation", orders=(1, 20))), "not_visible", "no processor"),
        (
            "pool_waiting",
            seen(family("pool_waiting", "saturation", orders=(0, 30))),
            "yes",
            "30 requests of orders wait",
        ),
        ("pool_waiting", seen(family("pool_waiting", "saturation", orders=(0, 0))), "no", "0 requests"),
        ("pool_waiting", seen(), "not_visible", "no pool"),
        ("symptoms_now", seen(family("p99", "latency", shop=(0.1, 0.1), orders=(0.1, 9))), "no", "nothing stands out"),
        ("symptoms_now", seen(family("p99", "latency", shop=(0.1, 0.4))), "yes", "shop p99 is 0.4 now"),
        ("symptoms_now", seen(family("errors", "errors", shop=(0, 3))), "yes", "shop errors is 3 now, 0 before"),
        ("symptoms_now", seen(), "not_visible", "no metric of shop"),
        ("the_weather", seen(REQUESTS), "not_visible", "no metric check is named 'the_weather'"),
    ],
)
def test_a_metric_check_tells_what_is_different_since_the_impact(
    name: str, shown: Seen, status: str, says: str
) -> None:
    answer = ask(name, shown)
    assert answer.status == status
    assert says in answer.summary
    json.dumps(answer.data, allow_nan=False)


def test_a_blip_that_is_over_is_no_symptom_any_more() -> None:
    values = [0.1] * 5 + [3.0] * 10 + [0.1] * 5
    assert ask("symptoms_now", seen(Family("p99", "latency", {"shop": series(*values)}))).status == "no"


def test_what_scatters_as_much_as_ever_is_no_symptom() -> None:
    values = [0.1, 0.5, 0.1, 0.5, 0.1, *[0.4] * 5]
    assert ask("symptoms_now", seen(Family("p99", "latency", {"shop": series(*values)}))).status == "yes"
    values = [0.1, 0.9, 0.5, 0.1, 0.3, *[0.6] * 5]
    assert ask("symptoms_now", seen(Family("p99", "latency", {"shop": series(*values)}))).status == "no"


@pytest.mark.parametrize("name", sorted(METRIC_CHECKS))
def test_a_metric_check_survives_a_graph_that_goes_in_a_circle_and_gaps(name: str) -> None:
    gaps = Family("cpu_waiting", "saturation", {"a": series(*[None] * 10), "b": series()})
    families = [gaps, *(Family(kind, kind, gaps.services) for kind in ("latency", "errors", "traffic"))]
    circle = Seen(families, {"a": ("b", "a"), "b": ("a",)}, frozenset(), "a", 0.0)
    assert ask(name, circle).status == "not_visible"
