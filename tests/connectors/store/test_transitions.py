"""The store holds the same table of transitions as the code, also against a psql session of a service's own role."""

from __future__ import annotations

import contextlib
from itertools import product
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from agent.incident import ApprovalState, ExecutionState, IncidentState
from agent.machine import TRANSITIONS
from tests.connectors.store.database import AGENT, API, EXECUTOR, ROLES

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration

STATES = {"incident": IncidentState, "approval": ApprovalState, "execution": ExecutionState}
INITIAL = {"incident": "received", "approval": "pending", "execution": "authorised"}
MAY_UPDATE = {"incident": {API, AGENT, EXECUTOR}, "approval": {API}, "execution": {EXECUTOR}}

SEED = """
INSERT INTO stanch.incident (correlation_key, title) VALUES ('k', 't');
INSERT INTO stanch.proposal (incident_id, revision, action, params, target, command, cleanup, rollback, document,
    digest, verdict, facts, decide_by, start_by, approvers_needed)
    SELECT id, 1, 'a', '{}', 'shop', 'c', '', '', '{}', 'd', '{}', '{}', now(), now(), 1 FROM stanch.incident;
INSERT INTO stanch.approval (proposal_id, incident_id, revision, digest, approvers_needed, decide_by, start_by)
    SELECT id, incident_id, 1, 'd', 1, now(), now() FROM stanch.proposal;
INSERT INTO stanch.execution (approval_id, incident_id, phase) SELECT id, incident_id, 'run' FROM stanch.approval;
"""


@pytest.fixture(scope="module", autouse=True)
def _one_of_each(database: Database) -> None:
    database.run(SEED)


def test_the_table_in_the_store_is_the_one_in_the_code(database: Database) -> None:
    stored = database.run("SELECT machine, from_state, to_state, writer FROM stanch.allowed_transition")
    known = {
        (machine, str(before), str(after), writer)
        for machine, rows in TRANSITIONS.items()
        for before, after, writer in rows
    }
    assert set(stored) == known
    assert len(stored) == len(known)


@pytest.mark.parametrize("machine", ["incident", "approval", "execution"])
def test_the_trigger_lets_exactly_the_legal_transitions_pass(database: Database, machine: str) -> None:
    table = sql.Identifier("stanch", machine)
    legal = {(str(before), str(after), writer) for before, after, writer in TRANSITIONS[machine]}  # type: ignore[index]
    place = sql.SQL("UPDATE {} SET state = %s").format(table)
    move = sql.SQL("UPDATE {} SET state = %s, version = version + 1").format(table)
    passed = set()
    with psycopg.connect(database.dsn(), autocommit=True) as admin:
        for role in sorted(MAY_UPDATE[machine]):
            with psycopg.connect(database.dsn(role), autocommit=True) as connection:
                for before, after in product(STATES[machine], repeat=2):
                    if before == after:
                        continue
                    admin.execute("SET session_replication_role = replica")
                    admin.execute(place, (str(before),))
                    with contextlib.suppress(psycopg.errors.CheckViolation):
                        connection.execute(move, (str(after),))
                        passed.add((str(before), str(after), role))
    assert passed == legal


@pytest.mark.parametrize(("machine", "role"), [(m, r) for m, roles in MAY_UPDATE.items() for r in sorted(roles)])
def test_a_change_without_its_version_is_refused(database: Database, machine: str, role: str) -> None:
    table = sql.Identifier("stanch", machine)
    with psycopg.connect(database.dsn(role), autocommit=True) as connection:
        for version in ("version", "version + 2", "version - 1"):
            statement = sql.SQL("UPDATE {} SET version = {}").format(table, sql.SQL(version))
            with pytest.raises(psycopg.errors.CheckViolation, match="without its version"):
                connection.execute(statement)


@pytest.mark.parametrize("machine", ["incident", "approval", "execution"])
def test_nothing_starts_in_a_later_state(database: Database, machine: str) -> None:
    columns = {
        "incident": "correlation_key, title, state) SELECT 'other', 't', %s",
        "approval": "proposal_id, incident_id, revision, digest, approvers_needed, decide_by, start_by, state) "
        "SELECT gen_random_uuid(), 1, 1, 'd', 1, now(), now(), %s",
        "execution": "approval_id, incident_id, phase, state) SELECT id, 1, 'rollback', %s FROM stanch.approval",
    }[machine]
    statement = sql.SQL("INSERT INTO {} (" + columns).format(sql.Identifier("stanch", machine))
    role = {"incident": AGENT, "approval": API, "execution": API}[machine]
    with psycopg.connect(database.dsn(role), autocommit=True) as connection:
        for state in set(STATES[machine]) - {INITIAL[machine]}:
            with pytest.raises(psycopg.errors.CheckViolation, match=f"starts as {INITIAL[machine]}"):
                connection.execute(statement, (str(state),))


def test_set_role_does_not_lend_another_roles_transitions(database: Database) -> None:
    """The session's own role counts, whatever SET ROLE or SECURITY DEFINER says."""
    database.run("INSERT INTO stanch.incident (correlation_key, title) VALUES ('set role', 't')", role=AGENT)
    with psycopg.connect(database.dsn(AGENT), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET ROLE stanch_api")
        connection.execute("UPDATE stanch.incident SET state = 'investigating', version = version + 1"
                           " WHERE correlation_key = 'set role'")  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE stanch.incident SET state = 'awaiting_approval', version = version + 1"
                               " WHERE correlation_key = 'set role'")  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_switch_the_trigger_off(database: Database, role: str) -> None:
    for statement in (
        "ALTER TABLE stanch.incident DISABLE TRIGGER hold_transition",
        "SET session_replication_role = replica",
        "INSERT INTO stanch.allowed_transition VALUES ('incident', 'received', 'resolved', 'stanch_agent')",
        "CREATE OR REPLACE FUNCTION stanch.hold_transition() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE stanch.incident ADD COLUMN x int",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.run(statement, role=role)


def test_progress_is_no_transition(database: Database) -> None:
    before = database.run("SELECT state, version FROM stanch.execution")
    database.run("UPDATE stanch.execution SET progress = '{\"done\": 1}'", role=EXECUTOR)
    assert database.run("SELECT state, version FROM stanch.execution") == before
