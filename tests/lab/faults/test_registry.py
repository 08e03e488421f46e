"""The faults there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest

from agent.replay.case import HARMLESS, MECHANISMS
from connectors.embedded.process import free_port
from guardrails.action import Action
from lab import faults, monitoring


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Surroundings in which nobody listens."""

    port: int

    @property
    def admin_dsn(self) -> str:
        return f"postgresql://admin@127.0.0.1:{self.port}/shop"

    @property
    def app_dsn(self) -> str:
        return f"postgresql://app@127.0.0.1:{self.port}/shop"

    def control(self, service: str) -> str:
        return f"http://127.0.0.1:{self.port}/control?{service}"

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        raise AssertionError(f"{service} {version} {summary}: nothing was broken, so nothing changed")


def test_names_are_unique_and_found() -> None:
    names = [fault.name for fault in faults.FAULTS]

    assert len(set(names)) == len(names)
    assert [faults.named(name).name for name in names] == names


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="missing-index"):
        faults.named("missing-idea")


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_breaks_a_known_component_and_expects_an_action_that_exists(fault: faults.Fault) -> None:
    components = {service for edge in monitoring.SERVICE_GRAPH for service in edge}
    kinds = {action.kind for action in get_args(Action) or (Action,)}

    assert {fault.component, *(component for component, _ in fault.also)} <= components
    assert fault.expected_action is None or fault.expected_action in kinds


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_a_mechanism_that_is_scored_and_an_alert_that_there_is(fault: faults.Fault) -> None:
    alerts = {rule["alert"] for group in monitoring.rule_groups() for rule in group["rules"]}

    assert {fault.mechanism_id, *(mechanism for _, mechanism in fault.also)} <= set(MECHANISMS)
    assert fault.alerts
    assert set(fault.alerts) <= alerts
    assert fault.mechanism_id not in HARMLESS or fault.expected_action is None


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_lab_that_is_not_there_cannot_be_broken_and_the_fault_says_so(fault: faults.Fault) -> None:
    with pytest.raises(faults.CannotInjectError, match="refused"):
        fault.inject(Nowhere(free_port()))
