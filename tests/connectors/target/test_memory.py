from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.database.checks import CHECKS
from agent.database.snapshot import NotVisible
from connectors.target.diagnose import Diagnosis
from connectors.target.fix import FixConnection
from connectors.target.memory import IDENTITY, MemoryTarget
from connectors.unreachable import Unreachable
from guardrails.action import CreateIndexConcurrently
from tests.agent.database.classes.snapshots import session
from tests.connectors.target.approval import approved

if TYPE_CHECKING:
    from agent.database.execution import Progress
    from agent.database.reader import TargetReader, TargetWriter

APPROVED = approved(CreateIndexConcurrently("public", "orders", ("customer_id",)), IDENTITY)


def test_the_fake_and_the_real_connections_fit_the_same_ports() -> None:
    readers: tuple[TargetReader, ...] = (MemoryTarget(), Diagnosis("", "shop"))
    writers: tuple[TargetWriter, ...] = (MemoryTarget(), FixConnection("", "shop"))
    assert readers
    assert writers


def test_a_run_sends_the_approved_steps_and_nothing_else() -> None:
    target = MemoryTarget()
    seen: list[Progress] = []
    assert target.run(APPROVED, "X-1", seen.append).status == "finished"
    assert target.sent == list(APPROVED.rendered.steps)
    assert seen == list(target.progress)
    assert target.inspect(APPROVED, "X-1").kind == "valid"
    assert target.clean(APPROVED, "X-1").status == "failed"
    assert target.roll_back(APPROVED, "X-1").status == "finished"
    assert target.sent[1:] == list(APPROVED.rendered.rollback_steps)


def test_a_failed_run_leaves_something_to_clean() -> None:
    target = MemoryTarget(ends_as="failed")
    assert target.run(APPROVED, "X-1", lambda _progress: None).status == "failed"
    assert target.inspect(APPROVED, "X-1").kind == "invalid"
    assert target.clean(APPROVED, "X-1").status == "finished"
    assert target.inspect(APPROVED, "X-1").kind == "absent"


def test_a_broken_run_is_unknown_and_still_building() -> None:
    target = MemoryTarget(ends_as="unknown")
    assert target.run(APPROVED, "X-1", lambda _progress: None).status == "unknown"
    assert target.inspect(APPROVED, "X-1").kind == "building"
    assert target.roll_back(APPROVED, "X-1").status == "failed"


def test_the_first_claim_stays() -> None:
    target = MemoryTarget()
    assert target.claim("A-1", "run", 0, "abandon", "X-1")
    assert not target.claim("A-1", "run", 0, "run", "X-2")
    claimed = target.claimed("A-1", "run")
    assert claimed is not None
    assert claimed.kind == "abandon"


def test_what_it_was_not_given_is_not_visible_and_a_dead_one_raises() -> None:
    target = MemoryTarget()
    assert isinstance(target.explain("SELECT 1"), NotVisible)
    assert isinstance(target.what_if("SELECT 1", "public", "orders", ["id"]), NotVisible)
    assert isinstance(target.table_facts("public", "orders"), NotVisible)
    target.unreachable = Unreachable("shop", "gone")
    with pytest.raises(Unreachable):
        target.identity()


def test_an_incident_class_is_asked_like_any_check() -> None:
    idle = session(1, state="idle in transaction", state_age_s=900.0)
    target = MemoryTarget(taken={"sessions": (idle,)})
    seen = CHECKS["idle_in_transaction"].run(target, {})
    assert seen.status == "yes"
    assert seen.data["findings"][0]["action"]["kind"] == "terminate_backend"
    assert CHECKS["idle_in_transaction"].run(MemoryTarget(), {}).status == "no"
    hidden = MemoryTarget(taken={"sessions": NotVisible("sessions", "no right")})
    assert CHECKS["idle_in_transaction"].run(hidden, {}).status == "not_visible"


def test_differences_are_between_what_was_taken_before_and_after() -> None:
    row = {"database": "shop", "this_one": True, "commits": 0, "rollbacks": 0}
    target = MemoryTarget(
        taken={"databases": ({**row, "deadlocks": 5},)}, taken_before={"databases": ({**row, "deadlocks": 2},)}
    )
    assert "3 deadlocks" in CHECKS["deadlocks"].run(target, {}).summary
