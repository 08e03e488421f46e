from __future__ import annotations

import math

import pytest

from causal.attribution import Attribution, NotAttributed, attribute
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
