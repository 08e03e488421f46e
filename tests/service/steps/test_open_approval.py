from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.incident import IncidentState

if TYPE_CHECKING:
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("command", "CREATE INDEX CONCURRENTLY st_other ON public.orders (id)"),
        ("rollback", "SELECT 1"),
        ("cleanup", "SELECT 1"),
        ("approvers_needed", 2),
        ("digest", "0" * 64),
    ],
)
def test_a_proposal_that_shows_something_else_than_its_digest_covers_is_not_opened(
    world: World, column: str, value: object
) -> None:
    number = world.investigating()
    proposal, _ = world.propose(number, needed=1, decide_s=900.0, **{column: value})
    step = world.add_step("open_approval", number, "api", proposal=proposal)
    assert world.api.run(step)
    assert world.rows("open_approvals", incident=number) == []
    assert world.incident(number).state is IncidentState.NEEDS_HUMAN


def test_a_proposal_that_shows_what_its_digest_covers_is_opened(world: World) -> None:
    number = world.investigating()
    proposal, _ = world.propose(number, needed=1, decide_s=900.0)
    assert world.api.run(world.add_step("open_approval", number, "api", proposal=proposal))
    assert len(world.rows("open_approvals", incident=number)) == 1
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL
