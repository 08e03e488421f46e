from __future__ import annotations

from causal.evidence import weigh
from causal.graph import ServiceGraph
from causal.series import SeriesName

GRAPH = ServiceGraph.from_edges([["web", "pay"], ["web", "cart"], ["shop", "pay"]])


def scored(series: dict[str, float]) -> dict[str, float]:
    names = [SeriesName.parse(column) for column in series]
    found = weigh(names, list(series.values()), [1.0] * len(names), GRAPH)
    return {service: finding.score for service, finding in found.items()}


CALM = {f"{service}|latency_p95": 0.4 for service in ("web", "shop", "pay", "cart")}


def test_a_caller_is_excused_by_a_callee_as_slow() -> None:
    found = scored(CALM | {"web|latency_p95": 2.5, "cart|latency_p95": 2.6})
    assert found["cart"] > 1
    assert found["web"] < 0.2


def test_latency_on_the_way_is_charged_to_the_callee_that_all_who_see_it_share() -> None:
    client = {"web|client_latency_p95": 3.0, "shop|client_latency_p95": 3.0}
    found = scored(CALM | client)
    assert found["pay"] > found["cart"] > found["web"]


def test_latency_as_a_client_explains_latency_as_a_server() -> None:
    found = scored(CALM | {"web|client_latency_p95": 3.0, "web|latency_p95": 3.0})
    assert found["web"] < 0.5


def test_one_wild_quantile_is_outvoted_by_its_siblings() -> None:
    wild = {"cart|latency_p50": 0.3, "cart|latency_p90": 0.3, "cart|latency_p95": 0.4, "cart|latency_p99": 8.0}
    assert scored(CALM | wild)["cart"] < 0.5


def test_a_shared_machine_counts_less_than_a_service_of_its_own() -> None:
    found = scored(CALM | {"cart|node_cpu": 3.0, "pay|cpu": 3.0})
    assert found["pay"] > 2 * found["cart"]


def test_a_series_that_cannot_be_judged_says_nothing() -> None:
    assert "ghost" not in scored(CALM | {"ghost|cpu": float("nan")})
