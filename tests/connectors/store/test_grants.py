"""Who may do what to which table, asked of the server as each role really connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.connectors.store.database import AGENT, API, EXECUTOR, ROLES

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration

# s select, i insert, u update of every column, c update of some columns only. Nobody deletes or truncates anything.
MAY = {
    "inbox": {API: "si", AGENT: "sc", EXECUTOR: "s"},
    "incident": {API: "su", AGENT: "siu", EXECUTOR: "su"},
    "alert": {API: "s", AGENT: "siu", EXECUTOR: "s"},
    "step": {API: "siu", AGENT: "siu", EXECUTOR: "siu"},
    "evidence": {API: "s", AGENT: "si", EXECUTOR: "si"},
    "proposal": {API: "s", AGENT: "si", EXECUTOR: "s"},
    "approval": {API: "sic", AGENT: "s", EXECUTOR: "s"},
    "decision": {API: "si", AGENT: "s", EXECUTOR: "s"},
    "permit": {API: "si", AGENT: "s", EXECUTOR: "s"},
    "execution": {API: "si", AGENT: "s", EXECUTOR: "sc"},
    "postmortem": {API: "s", AGENT: "siu", EXECUTOR: "s"},
    "postmortem_edit": {API: "si", AGENT: "s", EXECUTOR: "s"},
    "past_case": {API: "s", AGENT: "siu", EXECUTOR: "s"},
    "lesson": {API: "sc", AGENT: "sic", EXECUTOR: "s"},
    "change": {API: "s", AGENT: "si", EXECUTOR: "s"},
    "skill_count": {API: "s", AGENT: "si", EXECUTOR: "s"},
    "skill_version": {API: "si", AGENT: "si", EXECUTOR: "s"},
    "skill_promotion": {API: "si", AGENT: "si", EXECUTOR: "s"},
    "control": {API: "su", AGENT: "s", EXECUTOR: "s"},
    "process": {API: "siu", AGENT: "siu", EXECUTOR: "siu"},
    "pagerduty_incident": {API: "sc", AGENT: "sic", EXECUTOR: "s"},
    "pagerduty_sent": {API: "si", AGENT: "s", EXECUTOR: "s"},
    "silence": {API: "sic", AGENT: "s", EXECUTOR: "s"},
    "integration": {API: "sic", AGENT: "s", EXECUTOR: "s"},
    "audit": {API: "si", AGENT: "si", EXECUTOR: "si"},
    "audit_seal": {API: "si", AGENT: "s", EXECUTOR: "s"},
    "allowed_transition": {API: "s", AGENT: "s", EXECUTOR: "s"},
    "channel_lease": {API: "siu", AGENT: "", EXECUTOR: ""},
    "channel_request": {API: "si", AGENT: "", EXECUTOR: ""},
    "slack_incident": {API: "siu", AGENT: "", EXECUTOR: ""},
    "slack_message": {API: "siu", AGENT: "", EXECUTOR: ""},
    "notice_cursor": {API: "siu", AGENT: "", EXECUTOR: ""},
    "notice": {API: "siu", AGENT: "", EXECUTOR: ""},
    "session": {API: "sic", AGENT: "", EXECUTOR: ""},
    "api_token": {API: "sic", AGENT: "", EXECUTOR: ""},
    "target_access": {API: "s", AGENT: "siu", EXECUTOR: "siu"},
    "schema_migration": {API: "s", AGENT: "s", EXECUTOR: "s"},
}


def test_every_table_has_its_line(database: Database) -> None:
    names = database.run("SELECT relname FROM pg_class WHERE relnamespace = 'stanch'::regnamespace AND relkind = 'r'")
    assert {name for (name,) in names} == set(MAY)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_exactly_its_own(database: Database, role: str) -> None:
    with psycopg.connect(database.dsn(role), autocommit=True) as connection:
        found = {table: _rights(connection, table) for table in MAY}
    assert found == {table: roles[role] for table, roles in MAY.items()}


@pytest.mark.parametrize(
    ("role", "table", "may_change"),
    [
        (AGENT, "inbox", ["state", "reason"]),
        (API, "approval", ["state", "version", "decided_at", "escalated_at"]),
        (EXECUTOR, "execution", ["state", "version", "progress", "result", "started_at", "finished_at"]),
    ],
)
def test_a_role_may_change_only_these_columns(database: Database, role: str, table: str, may_change: list[str]) -> None:
    with psycopg.connect(database.dsn(role), autocommit=True) as connection:
        changeable = [
            column
            for column in _columns(connection, table)
            if _allowed(connection, _update(sql.Identifier("stanch", table), [column]))
        ]
    assert changeable == may_change


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_make_objects_or_other_roles(database: Database, role: str) -> None:
    for statement in ("CREATE TABLE stanch.x (a int)", "CREATE SCHEMA x", "CREATE ROLE x", "CREATE DATABASE x"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.run(statement, role=role)


def _rights(connection: psycopg.Connection, table: str) -> str:
    """None of the statements touches a row: rights are checked first, constraints and triggers never come to it."""
    name, columns = sql.Identifier("stanch", table), _columns(connection, table)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    probes = {
        "s": sql.SQL("SELECT 1 FROM {} LIMIT 0").format(name),
        "i": sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {0} WHERE false").format(name, listed),
        "u": _update(name, columns),
        "d": sql.SQL("DELETE FROM {} WHERE false").format(name),
        "t": sql.SQL("TRUNCATE {}").format(name),
    }
    rights = "".join(letter for letter, statement in probes.items() if _allowed(connection, statement))
    if "u" not in rights and any(_allowed(connection, _update(name, [column])) for column in columns):
        return rights + "c"
    return rights


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    """Those that a statement may name: not the ones the server numbers itself."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attidentity = ''"
        " ORDER BY attnum",
        (f"stanch.{table}",),
    ).fetchall()
    return [str(column) for (column,) in rows]


def _update(name: sql.Identifier, columns: list[str]) -> sql.Composed:
    same = sql.SQL(", ").join(sql.SQL("{0} = {0}").format(sql.Identifier(column)) for column in columns)
    return sql.SQL("UPDATE {} SET {} WHERE false").format(name, same)


def _allowed(connection: psycopg.Connection, statement: sql.Composed) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
