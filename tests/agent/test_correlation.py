from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.correlation import Candidate, Concern, same_cause

GRAPH = [("gateway", "web"), ("web", "orders"), ("orders", "ledger"), ("web", "search")]
HOPS = 2


def joins(about: Concern, *candidates: Concern, hops: int = HOPS) -> int | None:
    return same_cause(about, [Candidate(n, one) for n, one in enumerate(candidates, 1)], GRAPH, hops)


@pytest.mark.parametrize(
    ("about", "other", "joined"),
    [
        (Concern("web", None), Concern("web", None), True),
        (Concern("web", None), Concern("orders", None), True),
        (Concern("orders", None), Concern("web", None), True),
        (Concern("gateway", None), Concern("orders", None), True),
        (Concern("gateway", None), Concern("ledger", None), False),
        (Concern("search", None), Concern("orders", None), False),
        (Concern("search", "shop"), Concern("orders", "shop"), True),
        (Concern(None, "shop"), Concern(None, "shop"), True),
        (Concern("web", "shop"), Concern("web", "bank"), False),
        (Concern("web", "shop"), Concern("web", None), False),
        (Concern("web", None), Concern("web", "shop"), False),
        (Concern(None, None), Concern(None, None), False),
        (Concern("unknown", None), Concern("web", None), False),
        (Concern("unknown", None), Concern("unknown", None), True),
    ],
)
def test_one_cause_is_the_same_target_or_a_neighbour(about: Concern, other: Concern, joined: bool) -> None:
    assert (joins(about, other) == 1) is joined


def test_an_alert_of_a_source_without_rights_swallows_no_real_one() -> None:
    """Its incident has no target, whatever its labels say; the real alert's has one."""
    forged, real = Concern("orders", None), Concern("orders", "shop")
    assert joins(real, forged) is None


def test_the_nearest_is_joined_and_of_equals_the_oldest() -> None:
    assert joins(Concern("orders", None), Concern("gateway", None), Concern("web", None), Concern("ledger", None)) == 2
    assert joins(Concern("orders", "shop"), Concern("search", "shop"), Concern("orders", "shop")) == 2


def test_without_hops_only_the_same_service_counts() -> None:
    assert joins(Concern("web", None), Concern("orders", None), hops=0) is None
    assert joins(Concern("web", None), Concern("web", None), hops=0) == 1


names = st.sampled_from(["a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(names, names), max_size=12), names, names, st.integers(0, 4))
def test_it_does_not_matter_who_was_first(graph: list[tuple[str, str]], one: str, other: str, hops: int) -> None:
    def met(first: str, second: str) -> int | None:
        return same_cause(Concern(second, None), [Candidate(1, Concern(first, None))], graph, hops)

    assert met(one, other) == met(other, one)
