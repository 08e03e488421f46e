"""Draws the three machines from their table: `python -m agent.diagram` prints docs/states.md."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agent.machine import TRANSITIONS

if TYPE_CHECKING:
    from agent.machine import Machine

_ABOUT: dict[Machine, str] = {
    "incident": "One incident, from the alert to the closed postmortem.",
    "approval": "The approval of one revision of one proposal. Each decision is final.",
    "execution": "One run of an approved action, or its rollback. Nothing leads back to `authorised` or `started`: "
    "a second try needs a new approval.",
}
_FIRST: dict[Machine, str] = {"incident": "received", "approval": "pending", "execution": "authorised"}


def states_page() -> str:
    """docs/states.md: a Mermaid diagram for each machine, an arrow's text is the role that may write it."""
    lines = [
        "# States",
        "",
        "Drawn from `TRANSITIONS` in `agent/machine.py`: `python -m agent.diagram > docs/states.md`. A test compares.",
        "The store holds the same table and refuses every other transition, whatever process asks.",
    ]
    for machine in TRANSITIONS:
        lines += ["", f"## {machine.capitalize()}", "", _ABOUT[machine], "", "```mermaid", *diagram(machine), "```"]
    return "\n".join(lines) + "\n"


def diagram(machine: Machine) -> list[str]:
    """Lines of a Mermaid stateDiagram-v2. Writers of the same arrow share it."""
    writers: dict[tuple[str, str], list[str]] = {}
    for before, after, writer in sorted(TRANSITIONS[machine]):
        writers.setdefault((str(before), str(after)), []).append(writer.removeprefix("stanch_"))
    lines = ["stateDiagram-v2", f"    [*] --> {_FIRST[machine]}"]
    lines += [f"    {before} --> {after}: {', '.join(who)}" for (before, after), who in writers.items()]
    ends = sorted({after for _, after in writers} - {before for before, _ in writers})
    return [*lines, *(f"    {end} --> [*]" for end in ends)]


if __name__ == "__main__":
    sys.stdout.write(states_page())
