from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agent.incident import Milestone
from agent.ports import Rule
from connectors.memory import MemoryMetrics
from service.configuration import Configuration
from service.steps.causes import ask_causal
from tests.service.incident_world import SKILL, SKILLS, World, ports_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.incident import Incident
    from service.ports import Ports
    from service.steps.evidence import Found

pytestmark = pytest.mark.integration

CONFIGURATION = Configuration.model_validate(
    {
        "targets": {"shop": {"mode": "act", "environment": "production"}},
        "graph": [["front", "checkout"], ["checkout", "shop"], ["front", "mail"]],
        "metrics": [
            {"name": "latency_mean_seconds", "kind": "latency", "query": "mean"},
            {"name": "requests_per_second", "kind": "traffic", "query": "requests"},
        ],
        "ranking": {"before_s": 120, "step_s": 1},
    }
)
ALERT = Rule("SlowFront", "p99 > 0.5", 5.0)


def curve(level: float, change_at: float, by: float) -> Callable[[float], float]:
    """A level that is multiplied at the change, with noise that is the same each time it is asked for."""

    def at_time(at: float) -> float:
        noise = math.sin(at * (12.9898 + level)) * 43758.5453 % 1.0
        return level * (by if at >= change_at else 1.0) * (0.9 + 0.2 * noise)

    return at_time


def incident_of(world: World) -> tuple[Incident, float]:
    found = world.incident(world.investigating())
    with world.agent.store.transaction() as tx:
        now = tx.now()
    impact = now - timedelta(seconds=30)
    milestones = {Milestone.IMPACT_START: impact, Milestone.DETECTED: now - timedelta(seconds=20)}
    labels = {"alertname": "SlowFront", "service": "front"}
    return replace(found, service="front", target="shop", labels=labels, milestones=milestones), impact.timestamp()


def asked(world: World, incident: Incident, metrics: MemoryMetrics) -> Found:
    ports: Ports = replace(ports_of(world.agent.store, configuration=CONFIGURATION), metrics=metrics)
    skill = SKILLS[SKILL]
    return ask_causal(ports, incident, skill, skill.checks["causal_ranking"])


def metrics_with(change: float, factors: dict[str, float]) -> MemoryMetrics:
    levels = {"front": 0.02, "checkout": 0.01, "shop": 0.002, "mail": 0.03}
    series = [({"service": name}, curve(level, change, factors.get(name, 1.0))) for name, level in levels.items()]
    requests = [({"service": name}, curve(40.0 + at, change, 1.0)) for at, name in enumerate(levels)]
    signal = ({"service": "front"}, curve(0.05, change, factors.get("front", 1.0)))
    return MemoryMetrics(curves={"mean": series, "requests": requests, "p99": [signal]}, rules={"SlowFront": ALERT})


def test_the_target_that_changed_most_leads_and_the_path_goes_to_it(world: World) -> None:
    incident, impact = incident_of(world)
    found = asked(world, incident, metrics_with(impact, {"shop": 500.0, "checkout": 100.0, "front": 50.0}))
    assert found.status == "yes"
    assert found.data["paths"] == [["front", "checkout", "shop"]]


def test_a_target_whose_caller_leads_is_spoken_for(world: World) -> None:
    incident, impact = incident_of(world)
    found = asked(world, incident, metrics_with(impact, {"checkout": 100.0, "front": 50.0}))
    assert (found.status, found.summary.endswith("it calls shop itself")) == ("yes", True)


def test_a_service_off_the_path_speaks_against_the_target(world: World) -> None:
    incident, impact = incident_of(world)
    found = asked(world, incident, metrics_with(impact, {"mail": 300.0, "front": 200.0}))
    assert found.status == "no"
    assert found.summary.startswith("mail explains")


def test_without_samples_nothing_is_visible(world: World) -> None:
    incident, _ = incident_of(world)
    assert asked(world, incident, MemoryMetrics()).status == "not_visible"


def test_where_nothing_changed_no_service_is_singled_out(world: World) -> None:
    incident, impact = incident_of(world)
    assert asked(world, incident, metrics_with(impact, {})).status == "not_visible"
