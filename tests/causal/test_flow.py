from __future__ import annotations

import numpy as np

from causal.flow import OwnChange, own_change
from causal.graph import ServiceGraph
from causal.kind import Kind
from causal.series import SeriesName

RNG = np.random.default_rng(1)
GRAPH = ServiceGraph.from_edges([["web", "api"], ["api", "db"]])
NAMES = [SeriesName(s, m) for s in ("web", "api", "db") for m in ("latency_mean", "requests_per_s", "success_rate")]


def side(rows: int, *, db_s: float = 0.1, api_s: float = 0.05, load: float = 100.0, failing: float = 0.0) -> np.ndarray:
    """Web → api → db; latency includes the callee's, `failing` is the share of requests that fail in api."""
    columns = []
    db = db_s + RNG.normal(0, 0.002, rows)
    api = api_s + db + RNG.normal(0, 0.002, rows)
    web = 0.02 + api + RNG.normal(0, 0.002, rows)
    for service, latency in (("web", web), ("api", api), ("db", db)):
        share = 0.0 if service == "db" else failing
        columns += [latency, load + RNG.normal(0, 3, rows), np.full(rows, 100 * (1 - share))]
    return np.column_stack(columns)


def counted(normal: np.ndarray, fault: np.ndarray, kind: Kind, graph: ServiceGraph = GRAPH) -> OwnChange:
    found = own_change(NAMES, normal, fault, graph, kind=kind, entry="web")
    assert found is not None
    return found


def test_time_is_charged_where_it_is_lost() -> None:
    added = counted(side(200), side(10, db_s=0.4), Kind.LATENCY).added
    assert added["db"] > 20  # 0.3 s in each of 100 requests is 30 s a second, less the noise
    assert added["api"] < 2
    assert added["web"] < 2


def test_a_caller_that_gets_slower_itself_is_charged_itself() -> None:
    added = counted(side(200), side(10, api_s=0.4), Kind.LATENCY).added
    assert max(added, key=lambda service: added[service]) == "api"


def test_errors_are_charged_to_the_deepest_that_fails() -> None:
    added = counted(side(200), side(10, failing=0.1), Kind.ERRORS).added
    assert added["api"] > 5
    assert added["web"] < 1


def test_a_surge_adds_nothing_by_itself() -> None:
    added = counted(side(200), side(10, load=400.0), Kind.LATENCY).added
    assert max(added.values()) < 2


def test_quantiles_alone_cannot_be_counted() -> None:
    names = [SeriesName(name.service, name.metric.replace("mean", "p95")) for name in NAMES]
    assert own_change(names, side(50), side(5), GRAPH, kind=Kind.LATENCY, entry="web") is None


def test_without_calls_nothing_can_be_counted() -> None:
    assert own_change(NAMES, side(50), side(5), ServiceGraph(), kind=Kind.LATENCY, entry="web") is None


def test_a_service_nobody_called_before_is_a_change_in_its_caller() -> None:
    normal, fault = side(200), side(10)
    normal[:, NAMES.index(SeriesName("db", "requests_per_s"))] = 0
    fault[:, NAMES.index(SeriesName("db", "success_rate"))] = 0
    added = counted(normal, fault, Kind.ERRORS).added
    assert added["db"] == 0
    assert added["api"] > 50
