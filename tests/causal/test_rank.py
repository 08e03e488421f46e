from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal.graph import ServiceGraph
from causal.rank import Ranking, rank
from causal.series import Frame
from tests.causal.worlds import STEP_S, World, shop

if TYPE_CHECKING:
    from random import Random


def ranked(world: World, *, timed: bool = True) -> Ranking:
    return rank(world.frame, inject_time=world.change if timed else None, target=world.target, graph=world.graph)


def order(ranking: Ranking) -> list[str]:
    return [service.service for service in ranking.services]


@pytest.mark.parametrize("timed", [True, False])
def test_the_slow_database_is_the_cause_and_its_callers_pass_it_on(*, timed: bool) -> None:
    ranking = ranked(shop(), timed=timed)
    assert order(ranking)[0] == "db"
    assert not ranking.abstained
    assert {out.service for out in ranking.ruled_out} == {"api", "web"}
    assert ranking.paths[0] == ("web", "api", "db")


def test_the_change_is_found_without_being_told() -> None:
    world = shop()
    change = ranked(world, timed=False).change
    assert change is not None
    assert abs(change.time - world.change) <= STEP_S


def test_a_drop_counts_like_a_rise() -> None:
    world = shop(fault=0.0)
    world.columns["cache|cpu"][-20:] -= 25
    assert order(ranked(world))[0] == "cache"


def test_a_counter_that_stood_still_before_the_fault_is_evidence() -> None:
    world = shop(fault=0.0)
    world.columns["cache|errors"] = np.where(world.times >= world.change, 5.0, 0.0)
    assert order(ranked(world))[0] == "cache"


@pytest.mark.parametrize("seed", range(5))
def test_a_day_without_a_fault_gets_no_confident_answer(seed: int) -> None:
    ranking = ranked(shop(seed, fault=0.0))
    assert ranking.abstained
    assert ranking.services


def test_probabilities_leave_room_for_none_of_these() -> None:
    total = sum(service.probability for service in ranked(shop()).services)
    assert 0 < total < 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_columns_means_nothing(seed: int, shuffle: Random) -> None:
    world = shop(seed)
    names = list(world.columns)
    shuffle.shuffle(names)
    mixed = World(world.times, {name: world.columns[name] for name in names}, world.change, world.graph)
    assert order(ranked(mixed)) == order(ranked(world))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10), days=st.integers(-1000, 1000))
def test_shifting_all_times_changes_nothing(seed: int, days: int) -> None:
    world = shop(seed)
    later = World(world.times + days * 86400, world.columns, world.change + days * 86400, world.graph)
    assert ranked(later).services == ranked(world).services


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10), column=st.integers(0, 7), factor=st.sampled_from([1e-6, 1e-3, 0.5, 60.0, 1e3, 1e9]))
def test_the_unit_of_a_series_means_nothing(seed: int, column: int, factor: float) -> None:
    world = shop(seed)
    name = list(world.columns)[column]
    scaled = World(world.times, world.columns | {name: world.columns[name] * factor}, world.change, world.graph)
    assert order(ranked(scaled)) == order(ranked(world))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10), names=st.permutations(["p", "q", "r", "s"]))
def test_the_names_of_services_mean_nothing(seed: int, names: list[str]) -> None:
    world = shop(seed)
    new = dict(zip(("web", "api", "db", "cache"), names, strict=True))
    columns = {}
    for column, data in world.columns.items():
        service, metric = column.split("|")
        columns[f"{new[service]}|{metric}"] = data
    edges = [[new[a], new[b]] for a, bs in world.graph.callees.items() for b in bs]
    renamed = World(world.times, columns, world.change, ServiceGraph.from_edges(edges), target=f"{new['web']}|latency")
    assert order(ranked(renamed)) == [new[service] for service in order(ranked(world))]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10), extra=st.integers(1, 30))
def test_noise_beside_it_does_not_move_the_cause(seed: int, extra: int) -> None:
    world = shop(seed)
    rng = np.random.default_rng(seed + 1000)
    noise = {f"noise{i}|level": rng.normal(size=world.times.size) for i in range(extra)}
    noisy = World(world.times, world.columns | noise, world.change, world.graph)
    assert order(ranked(noisy))[0] == "db"


def test_one_sample_is_an_abstention() -> None:
    ranking = rank(Frame.from_columns([1.0], {"a|x": [1.0], "b|x": [2.0]}), inject_time=1.0)
    assert ranking.abstained
    assert order(ranking) == ["a", "b"]
    assert ranking.not_visible == ("a", "b")


@pytest.mark.parametrize("value", [0.0, 7.5, float("nan")])
def test_series_that_never_move_are_an_abstention(value: float) -> None:
    frame = Frame.from_columns(np.arange(50.0), {"a|x": np.full(50, value), "b|x": np.full(50, value)})
    for inject_time in (40.0, None):
        assert rank(frame, inject_time=inject_time).abstained


def test_a_graph_with_cycles_and_strangers_is_tolerated() -> None:
    world = shop()
    edges = [["web", "api"], ["api", "db"], ["db", "web"], ["ghost", "db"], ["api", "phantom"]]
    ranking = rank(world.frame, inject_time=world.change, target="nobody|latency", graph=ServiceGraph.from_edges(edges))
    assert set(ranking.not_visible) == {"ghost", "phantom"}


def test_ranking_loads_no_heavy_library() -> None:
    code = (
        "import sys, causal.rank; print([m for m in ('pandas', 'scipy', 'statsmodels', 'dowhy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
