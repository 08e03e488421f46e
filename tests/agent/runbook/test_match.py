from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from agent.runbook.match import pick, score
from agent.runbook.skill import read
from connectors.runbooks import skills
from tests.agent.examples import DIAGNOSIS, FRONT, SKILL, files

if TYPE_CHECKING:
    from agent.runbook.skill import Skill


def named(name: str, *matchers: dict[str, Any], **match: Any) -> Skill:
    diagnosis = {**DIAGNOSIS, "match": {"any": list(matchers), **match}}
    return read(name, files(front=FRONT.replace("slow-shop", name), diagnosis=diagnosis))


SLOW = {"label": "alertname", "matches": "Slow.*", "weight": 1.0}
ORDERS = {"label": "service", "matches": "orders", "weight": 0.5}
ALERT = {"alertname": "SlowOrders", "service": "orders"}


def test_the_score_is_the_sum_of_what_matches_in_full() -> None:
    skill = named("a", SLOW, ORDERS)
    assert score(skill, ALERT) == 1.5
    assert score(skill, {"alertname": "VerySlowOrders", "service": "orders"}) == 0.5
    assert score(skill, {}) == 0


def test_the_better_skill_is_picked_whatever_the_order() -> None:
    skills = [named("b", SLOW), named("a", SLOW), named("c", SLOW, ORDERS)]
    for order in permutations(skills):
        assert pick(order, ALERT, has_target=True) is skills[2]
    for order in permutations(skills[:2]):
        assert pick(order, ALERT, has_target=True) is skills[1]


@pytest.mark.parametrize(
    ("skill", "labels", "has_target"),
    [
        (SKILL, {"alertname": "DiskFull"}, True),
        (SKILL, {}, True),
        (named("a", ORDERS), ALERT, True),
        (named("a", SLOW, at_least=2), ALERT, True),
        (named("a", SLOW, needs_target=True), ALERT, False),
        (named("a", at_least=0), ALERT, True),
    ],
)
def test_no_skill_is_a_legal_answer(skill: Skill, labels: dict[str, str], has_target: bool) -> None:
    assert pick([skill], labels, has_target=has_target) is None
    assert pick([], labels, has_target=has_target) is None


@pytest.mark.parametrize("alertname", ["OrdersSlow", "HighLatency", "RequestTimeouts", "ApiP99", "request_duration"])
def test_the_seed_for_a_missing_index_takes_alerts_on_slowness(alertname: str) -> None:
    found = pick(skills().values(), {"alertname": alertname}, has_target=True)
    assert found is not None
    assert found.name == "postgres-missing-index"
    without = pick(skills().values(), {"alertname": alertname}, has_target=False)
    assert without is not None
    assert without.name == "service-latency"


def test_the_seeds_take_no_other_alert() -> None:
    for alertname in ("DiskFull", "CertificateExpires", "", "Low"):
        assert pick(skills().values(), {"alertname": alertname}, has_target=True) is None
