from __future__ import annotations

from causal.graph import ServiceGraph


def test_a_cycle_ends() -> None:
    graph = ServiceGraph.from_edges([["a", "b"], ["b", "c"], ["c", "a"], ["a", "a"]])
    assert graph.reachable("a") == {"a": 0, "b": 1, "c": 2}
    assert graph.path("a", "c") == ("a", "b", "c")


def test_an_unknown_service_depends_on_nothing() -> None:
    graph = ServiceGraph.from_edges([["a", "b"]])
    assert graph.reachable("x") == {"x": 0}
    assert graph.path("a", "x") == ()


def test_an_empty_graph_is_false() -> None:
    assert not ServiceGraph()
    assert not ServiceGraph.from_edges([["a", "a"]])


def test_labels_that_name_both_ends_of_a_call_are_a_graph() -> None:
    graph = ServiceGraph.from_metrics(
        ['requests{source_workload="web",destination_workload="api"}', 'latency{client="api",server="db"}', "cpu"]
    )
    assert graph.path("web", "db") == ("web", "api", "db")
    assert not ServiceGraph.from_metrics(["cpu", 'x{source="web"}'])
