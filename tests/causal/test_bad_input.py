"""Whatever comes in: a typed error or an honest abstention, and no warning from a library (warnings are errors)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal.graph import ServiceGraph
from causal.rank import rank
from causal.series import Frame

if TYPE_CHECKING:
    import numpy.typing as npt

N = 200
TIMES = np.arange(N) * 15.0
RNG = np.random.default_rng(0)
CYCLE = ServiceGraph.from_edges([["s0", "s1"], ["s1", "s0"], ["s2", "ghost"]])


def plus(**extra: npt.NDArray[np.float64]) -> Frame:
    """Four calm services and what is wrong."""
    calm = {f"s{i}|latency_mean": RNG.normal(1, 0.1, N) for i in range(4)}
    return Frame.from_columns(TIMES, calm | {name.replace("__", "|"): data for name, data in extra.items()})


FRAMES = {
    "all constant": Frame.from_columns(TIMES, {"a|x": np.ones(N), "b|x": np.zeros(N)}),
    "no data at all": Frame.from_columns(TIMES, {"a|x": np.full(N, np.nan), "b|y": np.full(N, np.nan)}),
    "one series without data": plus(z__x=np.full(N, np.nan)),
    "times backwards": Frame.from_columns(TIMES[::-1], {"a|x": RNG.normal(size=N), "b|x": RNG.normal(size=N)}),
    "times twice": Frame.from_columns(np.repeat(TIMES[:100], 2), {"a|x": RNG.normal(size=N), "b|x": np.arange(200.0)}),
    "one time only": Frame.from_columns(np.ones(N), {"a|x": RNG.normal(size=N)}),
    "one sample": Frame.from_columns([1.0], {"a|x": [1.0]}),
    "one service": Frame.from_columns(TIMES, {"a|x": RNG.normal(size=N)}),
    "shuffled in time": plus(
        s1__errors=np.asarray(RNG.permutation(np.r_[np.ones(150), np.full(50, 5.0)]), dtype=np.float64)
    ),
    "absurdly large": plus(z__x=np.full(N, 1e308) * RNG.choice([-1, 1], N)),
    "absurdly small": plus(z__x=RNG.normal(size=N) * 1e-310),
    "infinite": plus(z__x=np.full(N, np.inf)),
    "no traffic": plus(s0__requests=np.zeros(N), s1__requests=np.zeros(N)),
    "absurd traffic": plus(s0__requests=np.full(N, 1e139), s1__requests=np.full(N, 1e139)),
}


@pytest.mark.parametrize("what", sorted(FRAMES))
@pytest.mark.parametrize("inject_time", [TIMES[150], None, -5.0, 1e12, float("nan")])
def test_it_abstains_and_still_names_every_service_once(what: str, inject_time: float | None) -> None:
    frame = FRAMES[what]
    ranking = rank(frame, inject_time=inject_time, target="s0|latency_mean", graph=CYCLE)
    assert ranking.abstained
    named = [service.service for service in ranking.services]
    assert len(named) == len(set(named))
    assert set(named) | set(ranking.not_visible) == set(frame.services) | CYCLE.services


def test_a_million_rows_are_ranked() -> None:
    columns = {f"s{i}|latency": RNG.normal(size=1_000_000) for i in range(3)}
    columns["s1|latency"][900_000:] += 10
    ranking = rank(Frame.from_columns(np.arange(1e6), columns), inject_time=900_000.0)
    assert ranking.services[0].service == "s1"
