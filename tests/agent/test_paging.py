from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.incident import Conclusion, Incident, IncidentState, Outcome, Working
from agent.paging import MAX_WHY_CHARS, wish

LINK = "https://stanch.example.com/i/INC-7"
FOUND = Conclusion("missing_index", "an index is missing on orders", 0.914, 0.8, 0.95, None)
INCIDENT = Incident(
    id=7, state=IncidentState.RECEIVED, outcome=None, version=1, title="Slow", service="checkout", severity="page",
    target="shop", mode=None, skill=None, labels={}, annotations={}, working=Working(), milestones={},
    opened_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
)  # fmt: skip


@pytest.mark.parametrize("state", IncidentState)
@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("conclusion", [None, FOUND])
def test_only_what_was_verified_is_resolved(
    state: IncidentState, outcome: Outcome | None, conclusion: Conclusion | None
) -> None:
    found = wish(replace(INCIDENT, state=state, outcome=outcome, working=Working(conclusion=conclusion)), LINK)
    verified = state is IncidentState.RESOLVED or (state is IncidentState.CLOSED and outcome is Outcome.RECOVERED)
    assert (found.standing == "resolved") is verified
    assert all(LINK in note and "INC-7" in note for note in found.notes)
    assert bool(found.resolution) is verified


def test_the_cause_is_told_with_its_probability() -> None:
    found = wish(replace(INCIDENT, state=IncidentState.VERIFYING, working=Working(conclusion=FOUND)), LINK)
    assert found.notes == (f"Stanch INC-7: cause: an index is missing on orders (0.91 sure)\n{LINK}",)


def test_hostile_or_long_text_is_one_plain_line() -> None:
    why = "denied\n\u202eevil\x1b[31m" + "x" * 5000
    (note,) = wish(replace(INCIDENT, state=IncidentState.NEEDS_HUMAN, working=Working(why=why)), LINK).notes
    first, link = note.split("\n")
    assert link == LINK
    assert len(first) < MAX_WHY_CHARS + 100
    assert first.endswith("(cut)")
    assert first.isprintable()


def test_the_same_incident_asks_for_the_same_thing_again() -> None:
    one = replace(INCIDENT, state=IncidentState.NEEDS_HUMAN, working=Working(why="no", conclusion=FOUND))
    assert wish(one, LINK) == wish(one, LINK)
