"""The faults there are."""

from __future__ import annotations

from typing import get_args

import pytest

from connectors.embedded.process import free_port
from guardrails.action import Action
from lab import faults, monitoring


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

    assert fault.component in components
    assert fault.expected_action is None or fault.expected_action in kinds


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_target_that_is_not_there_cannot_be_broken_and_the_fault_says_so(fault: faults.Fault) -> None:
    with pytest.raises(faults.CannotInjectError, match="refused"):
        fault.inject(f"postgresql://admin@127.0.0.1:{free_port()}/shop")
