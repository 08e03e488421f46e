from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.diagram import diagram, states_page
from agent.incident import ApprovalState, ExecutionState, IncidentState
from agent.machine import TRANSITIONS

if TYPE_CHECKING:
    from enum import StrEnum

    from agent.machine import Machine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"
MACHINES: dict[Machine, type[StrEnum]] = {
    "incident": IncidentState,
    "approval": ApprovalState,
    "execution": ExecutionState,
}


def test_the_committed_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == states_page(), "run: python -m agent.diagram > docs/states.md"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_diagram_has_every_transition_of_its_machine_and_no_other(machine: Machine) -> None:
    drawn = set()
    for line in diagram(machine):
        if arrow := re.fullmatch(r" {4}(\w+) --> (\w+): (.+)", line):
            drawn |= {(arrow[1], arrow[2], f"stanch_{who}") for who in arrow[3].split(", ")}
    assert drawn == TRANSITIONS[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_can_be_reached_and_has_a_way_to_an_end(machine: Machine) -> None:
    start = next(line.split()[-1] for line in diagram(machine) if "[*] -->" in line)
    arrows = {(before, after) for before, after, _ in TRANSITIONS[machine]}
    reached = {start}
    while more := {after for before, after in arrows if before in reached} - reached:
        reached |= more
    assert reached == set(MACHINES[machine])
    ending = reached - {before for before, _ in arrows}
    while more := {before for before, after in arrows if after in ending} - ending:
        ending |= more
    assert ending == reached


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_leads_back_to_the_first_state(machine: Machine) -> None:
    start = next(line.split()[-1] for line in diagram(machine) if "[*] -->" in line)
    assert start not in {after for _, after, _ in TRANSITIONS[machine]}
