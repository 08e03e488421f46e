"""Idle transaction, row-lock pile-up, DDL queue, prepared transaction, deadlock: told apart by the root of the wait."""

from __future__ import annotations

import pytest

from agent.database.limits import Limits
from tests.agent.database.classes.snapshots import (
    HIDDEN,
    findings,
    hidden_session,
    named,
    readings,
    session,
    unseen,
    waits_for_table,
)

IDLE = session(1, state="idle in transaction", xact_age_s=9.0, state_age_s=8.0)
BUSY = session(1, state="active", xact_age_s=9.0, query_age_s=8.0)
QUEUE = tuple(session(pid, blocked_by=[1]) for pid in range(2, 8))
PREPARED = {"gid": "g", "database": "shop", "owner": "app", "age_s": 2.0, "xid_age": 3, "blocks": [2]}


def test_the_state_of_the_root_decides_between_an_idle_transaction_and_a_pile_up() -> None:
    assert named(readings(sessions=(IDLE, *QUEUE))) == {"idle_in_transaction"}
    assert named(readings(sessions=(BUSY, *QUEUE))) == {"row_lock_pile_up"}


def test_an_idle_root_is_terminated_and_a_running_one_cancelled() -> None:
    (idle,) = findings("idle_in_transaction", readings(sessions=(IDLE, *QUEUE)))
    (busy,) = findings("row_lock_pile_up", readings(sessions=(BUSY, *QUEUE)))
    assert idle.action is not None
    assert busy.action is not None
    assert (idle.action.kind, busy.action.kind) == ("terminate_backend", "cancel_backend")
    assert idle.action.action().render("p").command == idle.action.command
    assert idle.severity == busy.severity == "critical"


def test_an_idle_transaction_that_blocks_nobody_is_told_only_when_it_is_old() -> None:
    assert not named(readings(sessions=(IDLE,)))
    assert named(readings(sessions=({**IDLE, "state_age_s": 400.0},))) == {"idle_in_transaction"}
    assert named(readings(sessions=(IDLE,), limits=Limits(idle_transaction_s=5.0))) == {"idle_in_transaction"}


def test_a_chain_is_walked_to_its_root_and_drawn() -> None:
    chain = (IDLE, session(2, blocked_by=[1]), session(3, blocked_by=[2]), session(4, blocked_by=[3, 2]))
    (finding,) = findings("idle_in_transaction", readings(sessions=chain))
    assert finding.data["behind"] == 3
    assert [line.lstrip("│├└─ ").split()[1] for line in finding.diagram.splitlines()] == ["1", "2", "3", "4"]


def test_ddl_that_waits_for_an_idle_reader_is_to_blame_for_the_queue_behind_it() -> None:
    ddl = waits_for_table(2, [1], "AccessExclusiveLock", query="ALTER TABLE stock ADD COLUMN note text")
    readers = tuple(waits_for_table(pid, [2]) for pid in (3, 4))
    given = readings(sessions=(IDLE, ddl, *readers))
    assert named(given) == {"ddl_lock_queue"}
    (finding,) = findings("ddl_lock_queue", given)
    assert finding.action is not None
    assert finding.action.params["pid"] == 2
    assert finding.data["waits_for"] == [1]


def test_ddl_that_waits_alone_is_not_a_queue_but_what_it_waits_for_is_idle() -> None:
    ddl = waits_for_table(2, [1], "AccessExclusiveLock")
    assert named(readings(sessions=(IDLE, ddl))) == {"idle_in_transaction"}


def test_of_two_ddl_statements_in_a_queue_the_first_is_named() -> None:
    first = waits_for_table(2, [1], "AccessExclusiveLock")
    second = waits_for_table(3, [1, 2], "AccessExclusiveLock")
    found = findings("ddl_lock_queue", readings(sessions=(IDLE, first, second, waits_for_table(4, [2, 3]))))
    assert [finding.data["ddl"]["pid"] for finding in found] == [2]


def test_ddl_at_work_on_a_table_is_told_from_a_row_lock() -> None:
    readers = tuple(waits_for_table(pid, [1]) for pid in (2, 3))
    assert named(readings(sessions=(BUSY, *readers))) == {"ddl_lock_queue"}


def test_a_prepared_transaction_is_the_root_without_a_process() -> None:
    given = readings(sessions=(session(2, blocked_by=[0]), session(3, blocked_by=[2])), prepared=(PREPARED,))
    assert named(given) == {"forgotten_prepared_transaction"}
    (finding,) = findings("forgotten_prepared_transaction", given)
    assert finding.diagram.startswith("a prepared transaction\n")
    assert finding.data["behind"] == 2
    assert finding.action is not None
    assert finding.action.command == "ROLLBACK PREPARED 'g'"


def test_a_young_prepared_transaction_in_nobodys_way_is_left_alone() -> None:
    assert not named(readings(prepared=({**PREPARED, "blocks": []},)))
    assert named(readings(prepared=({**PREPARED, "blocks": [], "age_s": 900.0},))) == {"forgotten_prepared_transaction"}


@pytest.mark.parametrize("gid", ["ü", "a\nb", "x" * 250, ""])
def test_an_identifier_that_no_person_could_check_gets_no_command(gid: str) -> None:
    (finding,) = findings(
        "forgotten_prepared_transaction", readings(prepared=({**PREPARED, "gid": gid, "age_s": 900},))
    )
    assert finding.action is None


def test_a_prepared_transaction_of_another_database_cannot_be_ended_from_here() -> None:
    elsewhere = {**PREPARED, "database": "other", "age_s": 900.0, "blocks": []}
    (finding,) = findings("forgotten_prepared_transaction", readings(prepared=(elsewhere,)))
    assert finding.action is None
    assert finding.advice.startswith("Connect to its database")


def test_sessions_that_wait_in_a_circle_have_no_root_and_are_no_pile_up() -> None:
    assert not named(readings(sessions=(session(1, blocked_by=[2]), session(2, blocked_by=[1]))))


def test_deadlocks_are_counted_in_the_window_and_not_since_ever() -> None:
    row = {"database": "shop", "this_one": True, "commits": 10, "rollbacks": 5, "blks_read": 0, "blks_hit": 0}
    row |= {"xid_age": 1, "mxid_age": 1}
    old, new = ({**row, "deadlocks": 100},), ({**row, "deadlocks": 103},)
    assert not named(readings(databases=old))
    (finding,) = findings("deadlocks", readings(databases=new, before={"databases": old}))
    assert finding.data["deadlocks"] == 3
    assert finding.action is None


def test_deadlocks_after_a_reset_are_a_lower_bound() -> None:
    row = {"database": "shop", "this_one": True, "commits": 10, "rollbacks": 5}
    given = readings(databases=({**row, "deadlocks": 2},), before={"databases": ({**row, "deadlocks": 100},)})
    (finding,) = findings("deadlocks", given)
    assert (finding.data["deadlocks"], finding.data["lower_bound"]) == (2, True)


def test_an_age_that_is_not_shown_is_not_no_long_transaction() -> None:
    given = readings(sessions=(hidden_session(1), hidden_session(2)))
    assert not named(given)
    for name in ("idle_in_transaction", "runaway_query", "row_lock_pile_up", "old_xmin"):
        (said,) = unseen(name, given)
        assert said.grant == "GRANT pg_monitor TO <diagnose role>"
        assert "2 sessions" in said.what


def test_a_lock_queue_is_seen_without_the_right_to_see_its_sessions() -> None:
    hidden = (hidden_session(1), hidden_session(2, blocked_by=[1], waiting_s=9.0, waits_for="transactionid"))
    (finding,) = findings("row_lock_pile_up", readings(sessions=hidden))
    assert finding.action is None


@pytest.mark.parametrize("name", ["idle_in_transaction", "row_lock_pile_up", "ddl_lock_queue", "runaway_query"])
def test_without_sessions_nothing_is_claimed(name: str) -> None:
    assert unseen(name, readings(sessions=HIDDEN)) == [HIDDEN]


def test_a_long_statement_in_nobodys_way_runs_away_unless_it_is_maintenance() -> None:
    long = session(1, state="active", query_age_s=90.0, query="SELECT count(*) FROM big")
    (finding,) = findings("runaway_query", readings(sessions=(long,)))
    assert finding.action is not None
    assert finding.action.kind == "cancel_backend"
    assert not named(readings(sessions=({**long, "query": "CREATE INDEX CONCURRENTLY i ON t (a)"},)))
    assert not named(readings(sessions=({**long, "backend_type": "autovacuum worker"},)))
    assert not named(readings(sessions=({**long, "query_age_s": 59.0},)))


def test_who_others_wait_for_is_not_also_called_a_runaway() -> None:
    assert named(readings(sessions=({**BUSY, "query_age_s": 90.0}, *QUEUE))) == {"row_lock_pile_up"}


def test_hostile_texts_are_shown_on_one_line() -> None:
    evil = session(
        1, state="idle in transaction", state_age_s=900.0, application="\x1b[2J\u202eevil", query="a\nb\x07c"
    )
    (finding,) = findings("idle_in_transaction", readings(sessions=(evil,)))
    assert all(one.isprintable() for sentence in finding.evidence for one in sentence)
