from __future__ import annotations

import math

import numpy as np
import pytest

from causal.attribution import Attribution, NotAttributed, _effects, _linear_effects, _quiet, attribute
from causal.graph import ServiceGraph
from causal.rank import rank
from tests.causal.worlds import shop


@pytest.fixture(scope="module")
def explained() -> Attribution:
    world = shop()
    ranking = rank(world.frame, inject_time=world.change, target=world.target, graph=world.graph)
    found = attribute(world.frame, ranking, world.graph, world.target)
    assert isinstance(found, Attribution)
    return found


def test_the_database_accounts_for_the_alert(explained: Attribution) -> None:
    first = explained.shares[0]
    assert first.series.service == "db"
    # The world slows the database by 3 s; the noise of 20 fault samples is about 0.05 s.
    assert math.isclose(first.effect, 3.0, abs_tol=0.3)
    assert first.low < 3.0 < first.high or math.isclose(first.low, 3.0, abs_tol=0.2)
    assert not first.refuted


def test_what_passes_it_on_is_refuted(explained: Attribution) -> None:
    assert all(abs(share.effect) < 0.3 for share in explained.shares[1:])


def test_parts_and_rest_add_up(explained: Attribution) -> None:
    assert math.isclose(sum(s.effect for s in explained.shares) + explained.unexplained, explained.change)


def test_the_same_seed_gives_the_same_figures(explained: Attribution) -> None:
    world = shop()
    ranking = rank(world.frame, inject_time=world.change, target=world.target, graph=world.graph)
    assert attribute(world.frame, ranking, world.graph, world.target) == explained


def test_the_closed_form_is_what_dowhy_returns() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(140, 4))
    rows[:, 1] += 0.8 * rows[:, 0]
    rows[:, 3] += 0.5 * rows[:, 1] - 0.7 * rows[:, 2]
    rows[120:, 0] += 4
    edges = [(0, 1), (0, 3), (1, 3), (2, 3)]
    normal, fault = rows[:120], rows[120:]
    window = fault.mean(axis=0, keepdims=True)
    with _quiet(0):
        slow = _effects(normal, fault, window, edges)
    # dowhy draws 200 samples of the noise for its expectation, so its parts carry an error of about 1/sqrt(200).
    assert np.allclose(_linear_effects(normal, fault, window, edges), slow, atol=0.3)


def test_dowhy_leaves_global_chance_and_progress_bars_as_they_were() -> None:
    from dowhy import gcm  # noqa: PLC0415  seconds to load, for one test

    np.random.seed(5)  # noqa: NPY002  the global generator is what is tested
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    with _quiet(1):
        np.random.random()  # noqa: NPY002
    assert np.random.random() == expected  # noqa: NPY002
    assert gcm.config.show_progress_bars


def test_too_little_data_is_said_as_a_value() -> None:
    world = shop(before=12, after=3)
    ranking = rank(world.frame, inject_time=world.change, target=world.target, graph=world.graph)
    match attribute(world.frame, ranking, world.graph, world.target):
        case NotAttributed(reason):
            assert "too few" in reason
        case Attribution():
            pytest.fail("attributed on a dozen samples")


def test_an_unknown_target_is_said_as_a_value() -> None:
    world = shop()
    ranking = rank(world.frame, inject_time=world.change)
    assert isinstance(attribute(world.frame, ranking, ServiceGraph(), "nobody|latency"), NotAttributed)
