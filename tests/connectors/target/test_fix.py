from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.execution import Claim
from connectors.target.fix import FixConnection
from connectors.unreachable import Unreachable
from guardrails.action import CreateIndexConcurrently
from tests.connectors.target.approval import POLICY, approved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.database.execution import Progress, RunResult
    from guardrails.action import Action
    from guardrails.approved import Approved
    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

BY_CUSTOMER = CreateIndexConcurrently("public", "orders", ("customer_id", "created_at"))
BY_STATUS = CreateIndexConcurrently("public", "orders", ("status",))
ROOT = Path(__file__).parents[3]
_CHILD = """
import json, sys
from connectors.target.fix import FixConnection
from guardrails.action import CreateIndexConcurrently
from tests.connectors.target.approval import approved
with FixConnection(sys.argv[1], "shop") as fix:
    action = CreateIndexConcurrently("public", "orders", ("customer_id", "created_at"))
    approval = approved(action, fix.identity(), sys.argv[2])
    fix.claim(approval.approval_id, "run", 0, "run", sys.argv[3])
    fix.run(approval, sys.argv[3], lambda progress: None)
"""


@pytest.fixture
def fix(shop: Shop) -> Iterator[FixConnection]:
    with FixConnection(shop.fix, "shop", policy=POLICY, environment="staging") as connection:
        connection.identity()
        yield connection
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        ours = "SELECT format('%I.%I', schemaname, indexname) FROM pg_indexes WHERE indexname LIKE 'st\\_%'"
        for (name,) in admin.execute(ours).fetchall():
            admin.execute(f"DROP INDEX IF EXISTS {name}")
        admin.execute("TRUNCATE stanch_guard.claim")


@contextmanager
def open_writer(shop: Shop) -> Iterator[int]:
    """A transaction that has written to the table, by pid: a concurrent build waits for its end."""
    with psycopg.connect(shop.app) as writer:
        writer.execute("UPDATE public.orders SET status = status WHERE id = 1")
        yield writer.info.backend_pid
        writer.rollback()


def work(fix: FixConnection, action: CreateIndexConcurrently = BY_CUSTOMER, proposal: str = "P-1") -> Approved[Action]:
    return approved(action, fix.identity(), proposal)


def run(fix: FixConnection, approval: Approved[Action], execution_id: str = "X-1") -> RunResult:
    """As the executor does it: claimed, then run."""
    fix.claim(approval.approval_id, "run", 0, "run", execution_id)
    return fix.run(approval, execution_id, _ignored)


def roll_back(fix: FixConnection, approval: Approved[Action], execution_id: str = "X-1") -> RunResult:
    fix.claim(approval.approval_id, "rollback", 0, "run", execution_id)
    return fix.roll_back(approval, execution_id)


def until(seen: Callable[[], bool]) -> None:
    for _ in range(600):
        if seen():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that within 30 s")


class InBackground(threading.Thread):
    """A run on a connection of its own."""

    def __init__(self, dsn: str, action: CreateIndexConcurrently, proposal: str, execution_id: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Progress] = []
        self.result: RunResult | None = None
        self._arguments = (dsn, action, proposal, execution_id)
        self.start()

    def run(self) -> None:
        dsn, action, proposal, execution_id = self._arguments
        with FixConnection(dsn, "shop") as fix:
            approval = work(fix, action, proposal)
            fix.claim(approval.approval_id, "run", 0, "run", execution_id)
            self.result = fix.run(approval, execution_id, self.seen.append)

    def finished(self) -> RunResult:
        self.join(60)
        assert self.result is not None
        return self.result


def test_an_index_is_built_while_writes_go_on(fix: FixConnection, shop: Shop) -> None:
    written = 0
    stop = threading.Event()

    def write() -> None:
        nonlocal written
        with psycopg.connect(shop.app, autocommit=True) as app:
            while not stop.is_set():
                app.execute("UPDATE public.orders SET status = status WHERE id = %s", (1 + written % 1000,))
                written += 1

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    seen: list[Progress] = []
    approval = work(fix)
    try:
        until(lambda: written > 0)
        assert fix.preflight(approval).refusals == ()
        before = written
        fix.claim(approval.approval_id, "run", 0, "run", "X-1")
        result = fix.run(approval, "X-1", seen.append)
        during = written - before
    finally:
        stop.set()
        writer.join()
    assert (result.status, result.detail.split(":")[0]) == ("finished", "valid and ready")
    assert during > 0
    percents = [progress.percent for progress in seen if progress.percent is not None]
    assert percents == sorted(percents)
    assert all(0 <= percent <= 99 for percent in percents)
    assert fix.inspect(approval, "X-1").kind == "valid"


def test_a_second_run_of_the_same_proposal_builds_nothing(fix: FixConnection) -> None:
    approval = work(fix)
    assert run(fix, approval).status == "finished"
    again = run(fix, approval, "X-2")
    assert (again.status, "no claim of this execution" in again.detail) == ("failed", True)
    under_another_approval = approved(BY_CUSTOMER, fix.identity(), approval_id="A-2")
    twice = run(fix, under_another_approval, "X-3")
    assert (twice.status, "already exists" in twice.detail) == ("failed", True)
    assert fix.inspect(approval, "X-2").kind == "valid"
    assert any("already begins with these columns" in refusal for refusal in fix.preflight(approval).refusals)


def test_one_claim_wins_and_stays(fix: FixConnection) -> None:
    assert fix.claimed("A-1", "run") is None
    assert fix.claim("A-1", "run", 0, "run", "X-1")
    assert not fix.claim("A-1", "run", 0, "abandon", "X-2")
    assert fix.claimed("A-1", "run") == Claim("A-1", "run", 0, "run", "X-1")
    assert fix.claim("A-1", "rollback", 0, "run", "X-1")


@pytest.mark.usefixtures("fix")
def test_racing_claims_have_one_winner(shop: Shop) -> None:
    won: list[bool] = []
    start = threading.Barrier(8)

    def claim(number: int) -> None:
        with FixConnection(shop.fix, "shop") as other:
            other.identity()
            start.wait()
            won.append(other.claim("A-9", "run", 0, "run" if number % 2 else "abandon", f"X-{number}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_a_build_whose_client_was_killed_is_found_building_and_then_valid(fix: FixConnection, shop: Shop) -> None:
    approval = work(fix, proposal="P-killed")
    with open_writer(shop) as writer:
        child = subprocess.Popen([sys.executable, "-c", _CHILD, shop.fix, "P-killed", "X-killed"], cwd=ROOT)
        until(lambda: fix.inspect(approval, "X-killed").progress is not None)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        orphan = fix.inspect(approval, "X-killed")
        assert orphan.kind == "building"
        assert orphan.progress is not None
        assert (orphan.progress.phase, orphan.progress.unit) == ("waiting for writers before build", "lockers")
        assert orphan.progress.blocked_by == writer
        assert fix.clean(approval, "X-killed").status == "failed"
        assert any("wait for it to finish" in refusal for refusal in fix.preflight(approval).refusals)
    until(lambda: fix.inspect(approval, "X-killed").kind != "building")
    assert fix.inspect(approval, "X-killed").kind == "valid"


def test_a_terminated_build_leaves_an_invalid_index_that_the_cleanup_removes(
    fix: FixConnection, shop: Shop, admin: psycopg.Connection
) -> None:
    approval = work(fix, proposal="P-ended")
    with open_writer(shop):
        running = InBackground(shop.fix, BY_CUSTOMER, "P-ended", "X-ended")
        until(lambda: fix.inspect(approval, "X-ended").progress is not None)
        admin.execute("SELECT pg_terminate_backend(%s)", (fix.inspect(approval, "X-ended").pid,))
        result = running.finished()
    assert result.status == "failed"
    assert "terminating connection" in result.detail
    assert fix.inspect(approval, "X-ended").kind == "invalid"
    assert any("INVALID" in refusal for refusal in fix.preflight(approval).refusals)
    assert fix.clean(approval, "X-ended").status == "finished"
    assert fix.inspect(approval, "X-ended").kind == "absent"
    assert fix.clean(approval, "X-ended").detail == "nothing was left behind"


def test_a_build_that_waits_too_long_for_another_session_is_ended_and_cleaned(fix: FixConnection, shop: Shop) -> None:
    with FixConnection(shop.fix, "shop", blocked_limit_s=0.1) as impatient:
        approval = work(impatient, proposal="P-blocked")
        seen: list[Progress] = []
        with open_writer(shop) as writer:
            impatient.claim(approval.approval_id, "run", 0, "run", "X-blocked")
            result = impatient.run(approval, "X-blocked", seen.append)
        assert result.status == "failed"
        assert "waiting too long" in result.detail
        assert seen[-1].blocked_by == writer
    assert fix.inspect(approval, "X-blocked").kind == "invalid"
    assert fix.clean(approval, "X-blocked").status == "finished"
    assert fix.inspect(approval, "X-blocked").kind == "absent"


def test_two_fixes_of_one_table_run_one_after_the_other(fix: FixConnection, shop: Shop) -> None:
    with open_writer(shop):
        first = InBackground(shop.fix, BY_CUSTOMER, "P-first", "X-first")
        until(lambda: fix.inspect(work(fix, BY_CUSTOMER, "P-first"), "X-first").progress is not None)
        second = InBackground(shop.fix, BY_STATUS, "P-second", "X-second")
        until(lambda: any(step.phase == "waiting for another fix on the table" for step in second.seen))
        assert fix.inspect(work(fix, BY_STATUS, "P-third"), "X-third").kind == "absent"
    assert first.finished().status == "finished"
    assert second.finished().status == "finished"
    assert fix.inspect(work(fix, BY_STATUS, "P-second"), "X-second").kind == "valid"


def test_a_rollback_takes_the_index_away_again(fix: FixConnection) -> None:
    approval = work(fix)
    assert roll_back(fix, approval).detail == "it is gone already"
    assert run(fix, approval).status == "finished"
    assert fix.clean(approval, "X-1").status == "failed"
    assert roll_back(fix, approval).status == "finished"
    assert fix.inspect(approval, "X-1").kind == "absent"


def test_names_with_quotes_percent_signs_and_umlauts_are_kept_as_they_are(fix: FixConnection) -> None:
    approval = work(fix, CreateIndexConcurrently("public", "Bestellung Ü%", ('Kunde "K" %s',)))
    assert run(fix, approval, "Ü" * 40).status == "finished"
    assert fix.inspect(approval, "Ü" * 40).kind == "valid"


def test_a_longest_possible_name_is_not_cut_into_another(fix: FixConnection, admin: psycopg.Connection) -> None:
    name = "ä" * 31
    admin.execute(f'CREATE TABLE public."{name}" AS SELECT 1 AS a')
    admin.execute(f'ALTER TABLE public."{name}" OWNER TO shop_owner')
    approval = work(fix, CreateIndexConcurrently("public", name, ("a",)))
    assert run(fix, approval).status == "finished"
    admin.execute(f'DROP TABLE public."{name}"')
    assert fix.inspect(approval, "X-1").kind == "absent"
    again = approved(approval.action, fix.identity(), approval_id="A-2")
    assert run(fix, again).detail == "the table is not there any more; nothing was done"


def test_a_target_nobody_looked_at_is_not_touched(shop: Shop, fix: FixConnection) -> None:
    approval = work(fix)
    with FixConnection(shop.fix, "shop") as blind:
        result = blind.run(approval, "X-1", _ignored)
    assert (result.status, "identity" in result.detail) == ("failed", True)
    assert fix.inspect(approval, "X-1").kind == "absent"


def test_after_its_time_nothing_is_started(shop: Shop, fix: FixConnection) -> None:
    approval = work(fix)
    with FixConnection(shop.fix, "shop", clock=lambda: approval.start_by) as late:
        late.identity()
        assert "time to start has passed" in run(late, approval).detail
    assert fix.inspect(approval, "X-1").kind == "absent"


def test_a_role_that_may_not_build_is_told_what_it_lacks(shop: Shop, fix: FixConnection) -> None:
    with FixConnection(shop.stranger, "shop", policy=POLICY) as stranger:
        refusals = stranger.preflight(work(fix)).refusals
    assert any("GRANT shop_owner" in refusal for refusal in refusals)
    assert any("GRANT CREATE" in refusal for refusal in refusals)


def test_an_index_of_the_same_name_on_other_columns_is_not_taken_for_ours(
    fix: FixConnection, admin: psycopg.Connection
) -> None:
    approval = work(fix)
    admin.execute(f"CREATE INDEX {approval.rendered.object_name} ON public.orders (status)")
    assert fix.inspect(approval, "X-1").kind == "elsewhere"
    assert fix.roll_back(approval, "X-1").status == "failed"


def test_a_target_without_the_claim_table_says_so_for_good(shop: Shop) -> None:
    with FixConnection(shop.stranger, "shop") as stranger, pytest.raises(Unreachable) as refused:
        stranger.claim("A-1", "run", 0, "run", "X-1")
    assert refused.value.permanent


def _ignored(_progress: Progress) -> None:
    return None
