"""Each way in which a build is known to break, provoked on a real server: it ends, says why, and leaves nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.execution import Bounds, Terms
from connectors.target.fix import FixConnection
from connectors.unreachable import Unreachable
from guardrails.action import CreateIndexConcurrently
from guardrails.index_action import ReindexIndexConcurrently
from guardrails.table_action import AddConstraintNotValid, AnalyzeTable, SetTableStorage
from tests.connectors.target.approval import POLICY, approved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.database.execution import Observed, Progress, RunResult
    from guardrails.action import Action
    from guardrails.approved import Approved
    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

BREAKS = ("public", "breaks")
BY_A = CreateIndexConcurrently(*BREAKS, ("a",))
_TABLE = """
CREATE TABLE public.breaks (id int PRIMARY KEY, a int, b int);
INSERT INTO public.breaks SELECT g, g % 100, g % 100 FROM generate_series(1, 20000) g;
CREATE TABLE public.elsewhere (id int);
INSERT INTO public.elsewhere VALUES (1);
ALTER TABLE public.breaks OWNER TO shop_owner;
"""


@pytest.fixture
def table(shop: Shop) -> Iterator[Shop]:
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        admin.execute(_TABLE)
    yield shop
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        admin.execute("DROP TABLE public.breaks, public.elsewhere; TRUNCATE stanch_guard.claim")


@contextmanager
def fixing(shop: Shop, blocked_limit_s: float = 900.0) -> Iterator[FixConnection]:
    with FixConnection(shop.fix, "shop", policy=POLICY, environment="staging", blocked_limit_s=blocked_limit_s) as fix:
        fix.identity()
        yield fix


class Running(threading.Thread):
    """A run on a connection of its own, and what became of it."""

    def __init__(self, shop: Shop, action: Action, terms: Terms | None = None, blocked_limit_s: float = 900.0) -> None:
        super().__init__(daemon=True)
        self.seen: list[Progress] = []
        self.result: RunResult | None = None
        self._shop, self._action, self._terms, self._blocked_limit_s = shop, action, terms, blocked_limit_s
        self.start()

    def run(self) -> None:
        with fixing(self._shop, self._blocked_limit_s) as fix:
            approval = approve(fix, self._action)
            fix.claim(approval.approval_id, "run", 0, "run", "X-1")
            self.result = fix.run(approval, "X-1", self.seen.append, self._terms)

    def finished(self) -> RunResult:
        self.join(60)
        assert self.result is not None
        return self.result


def approve(fix: FixConnection, action: Action, proposal: str = "P-1") -> Approved[Action]:
    return approved(action, fix.identity(), proposal)


def until(seen: Callable[[], bool]) -> None:
    for _ in range(600):
        if seen():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that within 30 s")


def observed(shop: Shop, action: Action) -> Observed:
    with fixing(shop) as fix:
        return fix.inspect(approve(fix, action), "X-1")


def waits(shop: Shop, action: Action = BY_A) -> Callable[[], bool]:
    def waiting() -> bool:
        seen = observed(shop, action)
        return seen.progress is not None and seen.progress.blocked_by is not None

    return waiting


def cleaned(shop: Shop, action: Action = BY_A) -> None:
    """Nothing INVALID is left on the table, whatever it was called."""
    with fixing(shop) as fix:
        approval = approve(fix, action)
        assert fix.inspect(approval, "X-1").kind == "invalid"
        assert fix.clean(approval, "X-1").status == "finished"
        assert fix.inspect(approval, "X-1").kind == "absent"
    with psycopg.connect(shop.admin) as admin:
        left = admin.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
            " AND indrelid = 'public.breaks'::regclass AND NOT indisunique"
        ).fetchall()
    assert left == []


@contextmanager
def writing(shop: Shop) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop.app) as writer:
        writer.execute("UPDATE public.breaks SET b = b WHERE id = 1")
        yield writer
        writer.rollback()


def backend(shop: Shop, action: Action = BY_A) -> int:
    pid = observed(shop, action).pid
    assert pid is not None
    return pid


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_build_that_somebody_ends_is_cleaned(table: Shop, admin: psycopg.Connection, function: str) -> None:
    with writing(table):
        running = Running(table, BY_A)
        until(waits(table))
        admin.execute(f"SELECT {function}({backend(table)})".encode())
        assert running.finished().status == "failed"
    cleaned(table)


def test_an_open_writer_is_waited_for_and_named(table: Shop) -> None:
    with writing(table) as writer:
        running = Running(table, BY_A)
        until(lambda: bool(running.seen) and running.seen[-1].blocked_by is not None)
        assert running.seen[-1].blocked_by == writer.info.backend_pid
        assert running.seen[-1].percent == 0
    assert running.finished().status == "finished"


def test_an_old_snapshot_on_another_table_stops_the_last_phase_and_the_index_is_cleaned(table: Shop) -> None:
    """INVALID with indisready: every write pays for it until it is gone."""
    with psycopg.connect(table.app) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM public.orders WHERE id < 10")
        running = Running(table, BY_A, blocked_limit_s=0.5)
        result = running.finished()
        assert "waiting too long for another session" in result.detail
        assert running.seen[-1].phase == "waiting for old snapshots"
        assert running.seen[-1].percent == 99
        assert "every write pays for it" in observed(table, BY_A).detail
        with fixing(table) as fix:
            clean = threading.Thread(target=fix.clean, args=(approve(fix, BY_A), "X-1"))
            clean.start()
            reader.rollback()
            clean.join(30)
    assert observed(table, BY_A).kind == "absent"


def test_an_idle_reader_that_holds_no_snapshot_stops_nothing(table: Shop) -> None:
    with psycopg.connect(table.app) as reader:
        reader.execute("SELECT count(*) FROM public.breaks")
        assert Running(table, BY_A).finished().status == "finished"


def test_a_writer_that_alters_the_table_makes_the_build_the_victim_and_it_is_cleaned(
    table: Shop, admin: psycopg.Connection
) -> None:
    with psycopg.connect(table.admin) as owner:
        owner.execute("UPDATE public.breaks SET b = b WHERE id = 1")
        running = Running(table, BY_A)
        until(waits(table))
        owner.execute("ALTER TABLE public.breaks SET (fillfactor = 90)")
        result = running.finished()
        owner.rollback()
    assert (result.status, "deadlock detected" in result.detail) == ("failed", True)
    cleaned(table)
    assert admin.execute("SELECT count(*) FROM public.breaks").fetchone() == (20000,)


def test_a_unique_index_with_duplicates_fails_again_and_again_and_leaves_nothing_of_ours(
    table: Shop, admin: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY u1 ON public.breaks (a)")
    action = ReindexIndexConcurrently(*BREAKS, "u1")
    for proposal in ("P-1", "P-2"):
        with fixing(table) as fix:
            approval = approve(fix, action, proposal)
            assert fix.preflight(approval).refusals == ()
            fix.claim(approval.approval_id, "run", 0, "run", "X-1")
            result = fix.run(approval, "X-1", lambda _: None)
            assert (result.status, "could not create unique index" in result.detail) == ("failed", True)
            seen = fix.inspect(approval, "X-1")
            assert (seen.kind, "u1_ccnew" in seen.detail) == ("invalid", True)
            again = approve(fix, action, f"{proposal}-again")
            assert any("left by an earlier REINDEX" in refusal for refusal in fix.preflight(again).refusals)
            assert fix.clean(approval, "X-1").status == "finished"
            assert fix.inspect(approval, "X-1").kind == "absent"
    names = admin.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'breaks' ORDER BY 1").fetchall()
    assert names == [("breaks_pkey",), ("u1",)]


def test_a_valid_index_that_happens_to_be_called_so_is_never_cleaned_away(
    table: Shop, admin: psycopg.Connection
) -> None:
    admin.execute("CREATE INDEX theirs ON public.breaks (a); CREATE INDEX theirs_ccnew ON public.breaks (b)")
    with fixing(table) as fix:
        approval = approve(fix, ReindexIndexConcurrently(*BREAKS, "theirs"))
        assert any("theirs_ccnew is there" in refusal for refusal in fix.preflight(approval).refusals)
        assert fix.clean(approval, "X-1").detail == "nothing was left behind"
    found = admin.execute("SELECT indexname FROM pg_indexes WHERE indexname = 'theirs_ccnew'").fetchall()
    assert found == [("theirs_ccnew",)]


def test_an_invalid_index_of_the_name_is_never_passed_over_as_done(table: Shop, admin: psycopg.Connection) -> None:
    """What CREATE INDEX CONCURRENTLY IF NOT EXISTS does: it reports success."""
    with fixing(table) as fix:
        approval = approve(fix, BY_A)
        with writing(table):
            running = Running(table, BY_A)
            until(waits(table))
            admin.execute("SELECT pg_terminate_backend(%s)", (backend(table),))
            running.finished()
        again = approved(BY_A, fix.identity(), "P-1", approval_id="A-again")
        assert any("left INVALID by an earlier run" in refusal for refusal in fix.preflight(again).refusals)
        fix.claim(again.approval_id, "run", 0, "run", "X-2")
        result = fix.run(again, "X-2", lambda _: None)
        assert (result.status, "already exists" in result.detail) == ("failed", True)
        assert fix.inspect(approval, "X-2").kind == "invalid"
    cleaned(table)


def test_a_fix_waits_for_a_build_by_somebody_else_only_for_moments_at_a_time(
    table: Shop, admin: psycopg.Connection
) -> None:
    """A second operation under SHARE UPDATE EXCLUSIVE: tried again until the first one is over."""
    with writing(table):
        build = "CREATE INDEX CONCURRENTLY theirs ON public.breaks (b)"
        theirs = threading.Thread(target=_in_own_session, args=(table.admin, build))
        theirs.start()
        until(lambda: admin.execute("SELECT count(*) FROM pg_stat_progress_create_index").fetchone() == (1,))
        running = Running(table, SetTableStorage(*BREAKS, "fillfactor", "90"))
        with fixing(table) as fix:
            refusals = fix.preflight(approve(fix, AnalyzeTable(*BREAKS))).refusals
            assert any("CREATE INDEX CONCURRENTLY on public.breaks" in refusal for refusal in refusals)
        time.sleep(1.0)
        longest = admin.execute(
            "SELECT max(clock_timestamp() - query_start) < interval '1 s' FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND application_name LIKE 'stanch-exec:%'"
        ).fetchone()
        assert longest in {(True,), (None,)}
    theirs.join(30)
    assert running.finished().status == "finished"


def test_a_constraint_never_makes_traffic_queue_behind_it_for_long(table: Shop, admin: psycopg.Connection) -> None:
    """ACCESS EXCLUSIVE: it gives up after half a second and lets the queue through before it tries again."""
    action = AddConstraintNotValid(*BREAKS, ("a",))
    with psycopg.connect(table.app) as reader, psycopg.connect(table.app, autocommit=True) as other:
        reader.execute("SELECT 1 FROM public.breaks LIMIT 1")
        running = Running(table, action)
        until(
            lambda: (
                admin.execute(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
                ).fetchone()
                == (1,)
            )
        )
        # Behind the waiting ALTER TABLE; answered once that has given up, while the reader still holds its lock.
        other.execute("SELECT 1 FROM public.breaks LIMIT 1")
        reader.rollback()
    assert running.finished().status == "finished"


def test_traffic_that_waits_behind_a_build_ends_the_build(table: Shop) -> None:
    """Somebody's ALTER TABLE waits for our build, and everybody waits for the ALTER TABLE."""
    terms = Terms(Bounds(blocked_s=1))
    with writing(table):
        running = Running(table, BY_A, terms)
        until(waits(table))
        alter = threading.Thread(
            target=_in_own_session, args=(table.admin, "ALTER TABLE public.breaks ADD COLUMN c int")
        )
        read = threading.Thread(target=_in_own_session, args=(table.app, "SELECT count(*) FROM public.breaks"))
        alter.start()
        until(lambda: _waiting(table) >= 1)
        read.start()
        result = running.finished()
    alter.join(30)
    read.join(30)
    assert result.status == "failed"
    assert "ordinary traffic waited" in result.detail
    assert "1 s is the bound" in result.detail
    cleaned(table)


def _in_own_session(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def _waiting(shop: Shop) -> int:
    with psycopg.connect(shop.admin) as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        ).fetchone()
    return 0 if found is None else int(found[0])


def test_timeouts_set_for_the_role_do_not_break_a_build(table: Shop, admin: psycopg.Connection) -> None:
    """Each would leave an INVALID index; the watchdog takes their place."""
    admin.execute(
        "ALTER ROLE stanch_fix SET lock_timeout = '50ms'; ALTER ROLE stanch_fix SET statement_timeout = '50ms'"
    )
    try:
        with writing(table):
            running = Running(table, BY_A)
            until(waits(table))
            time.sleep(0.2)
        assert running.finished().status == "finished"
    finally:
        admin.execute("ALTER ROLE stanch_fix RESET lock_timeout; ALTER ROLE stanch_fix SET statement_timeout = '0'")


def test_a_server_that_restarts_in_the_middle_leaves_an_invalid_index_that_is_cleaned(table: Shop) -> None:
    with psycopg.connect(table.app, autocommit=True) as writer:
        writer.execute("BEGIN; UPDATE public.breaks SET b = b WHERE id = 1")
        running = Running(table, BY_A)
        until(waits(table))
        os.kill(backend(table), signal.SIGKILL)
        result = running.finished()
        writer.close()
    assert result.status == "unknown"

    def back() -> bool:
        try:
            return observed(table, BY_A).kind != "building"
        except Unreachable:
            return False

    until(back)
    cleaned(table)
