from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from guardrails.action import Action, CreateIndexConcurrently, Rendered, render
from guardrails.fence import OPENINGS, Fence, UnusableFence
from tests.guardrails.actions import FIX_ACTIONS, OPT_IN_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import EmbeddedPostgres

OWNER = "Shop's owner"
DATABASE = 'shop "one"'
FENCE = Fence(DATABASE, (OWNER,), revoke_owner_writes=True)
ACTION = CreateIndexConcurrently("Sales", "order;s", ("customer id", "order"))
PASSWORD = "for the test only"


def test_a_fence_needs_an_owner_and_different_roles() -> None:
    with pytest.raises(UnusableFence):
        Fence("shop", ())
    with pytest.raises(UnusableFence):
        Fence("shop", ("stanch_fix",))


def test_hostile_names_stay_names() -> None:
    script = Fence('a"; DROP DATABASE x; --', ("o'; DROP ROLE y; --",)).sql()
    assert 'GRANT CONNECT ON DATABASE "a""; DROP DATABASE x; --" TO' in script
    assert "rolname IN ('o''; DROP ROLE y; --')" in script


def test_without_event_triggers_the_script_says_what_is_missing() -> None:
    script = Fence("shop", ("o",), event_triggers=False).sql()
    assert "CREATE EVENT TRIGGER" not in script
    assert "only Stanch itself holds it" in script


@pytest.fixture
def fenced(server: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute('CREATE ROLE "Shop\'s owner"')
        admin.execute("CREATE ROLE app")
        admin.execute('CREATE DATABASE "shop ""one""" OWNER "Shop\'s owner"')
    with psycopg.connect(server.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute(
            """SET ROLE "Shop's owner";
            CREATE SCHEMA "Sales";
            CREATE TABLE "Sales"."order;s" (id int PRIMARY KEY, "customer id" int, "order" int);
            CREATE INDEX theirs ON "Sales"."order;s" ("order");
            CREATE TABLE "Sales".customers (id int PRIMARY KEY);
            ALTER TABLE "Sales"."order;s" ADD CONSTRAINT unchecked CHECK ("order" > -1) NOT VALID;
            CREATE TABLE "Sales".parts (id int) PARTITION BY RANGE (id);
            CREATE TABLE "Sales"."part one" PARTITION OF "Sales".parts FOR VALUES FROM (0) TO (10);
            CREATE TABLE "Sales"."part two" PARTITION OF "Sales".parts FOR VALUES FROM (10) TO (20);
            CREATE FUNCTION "Sales".sweep() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
              AS 'BEGIN DROP TABLE "Sales"."order;s"; END';
            RESET ROLE"""
        )
        admin.execute(FENCE.sql())
        admin.execute(FENCE.sql())
        admin.execute(f"ALTER ROLE stanch_fix PASSWORD '{PASSWORD}'")
    yield server
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute('DROP DATABASE "shop ""one""" WITH (FORCE)')
        for role in ("stanch_diagnose", "stanch_fix", "stanch_signal", "app", OWNER):
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')


def as_fix_role(server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(server.dsn("stanch_fix", PASSWORD, DATABASE), autocommit=True)


def run(connection: psycopg.Connection, rendered: Rendered) -> None:
    for step in (*rendered.steps, *rendered.rollback_steps, *rendered.cleanup_steps):
        connection.execute(step, prepare=True)


FORBIDDEN = (
    'DROP TABLE "Sales"."order;s"',
    'TRUNCATE "Sales"."order;s"',
    'DELETE FROM "Sales"."order;s"',
    'UPDATE "Sales"."order;s" SET "order" = 1',
    'INSERT INTO "Sales"."order;s" VALUES (1)',
    'COPY "Sales"."order;s" FROM STDIN',
    'ALTER TABLE "Sales"."order;s" ADD COLUMN x int',
    'ALTER TABLE "Sales"."order;s" OWNER TO stanch_fix',
    'DROP INDEX "Sales".theirs',
    'DROP INDEX CONCURRENTLY "Sales".theirs',
    'CREATE INDEX st_blocking ON "Sales"."order;s" (id)',
    'CREATE UNIQUE INDEX CONCURRENTLY st_unique ON "Sales"."order;s" (id)',
    'CREATE INDEX CONCURRENTLY other_name ON "Sales"."order;s" (id)',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS st_maybe ON "Sales"."order;s" (id)',
    'CREATE INDEX CONCURRENTLY st_expression ON "Sales"."order;s" ((id + 1))',
    'GRANT ALL ON "Sales"."order;s" TO stanch_fix',
    'GRANT "Shop\'s owner" TO app',
    'DO $$ BEGIN EXECUTE \'DROP TABLE "Sales"."order;s"\'; END $$',
    'DO $$ BEGIN DELETE FROM "Sales"."order;s"; END $$',
    'SELECT "Sales".sweep()',
    'SET ROLE "Shop\'s owner"; DROP TABLE "Sales"."order;s"',
    'SET ROLE "Shop\'s owner"; DELETE FROM "Sales"."order;s"',
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION stanch_admin",
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE another",
    "ALTER ROLE stanch_fix SUPERUSER",
    "ALTER SYSTEM SET fsync = off",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "ALTER EVENT TRIGGER stanch_guard_commands DISABLE",
    "DROP EVENT TRIGGER stanch_guard_commands",
    (
        "CREATE OR REPLACE FUNCTION stanch_guard.refuse_other_commands() RETURNS event_trigger"
        " LANGUAGE plpgsql AS 'BEGIN END'"
    ),
    "DROP SCHEMA stanch_guard CASCADE",
    "DELETE FROM stanch_guard.claim",
    "UPDATE stanch_guard.claim SET kind = 'run'",
    "TRUNCATE stanch_guard.claim",
    "DROP TABLE stanch_guard.claim",
)


@pytest.mark.integration
def test_the_fix_role_does_the_action_and_nothing_else_that_was_tried(fenced: EmbeddedPostgres) -> None:
    with as_fix_role(fenced) as connection:
        run(connection, render(ACTION, "P-1"))
        connection.execute("INSERT INTO stanch_guard.claim VALUES ('A-1', 'run', 0, 'run', 'E-1')")
        assert connection.execute("SELECT kind FROM stanch_guard.claim").fetchall() == [("run",)]
        for action in FIX_ACTIONS:
            done_and_proven(connection, fenced, action)
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.execute("RESET ROLE")
        if connection.info.server_version >= 170000:  # older servers run no event trigger for REINDEX
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute('REINDEX TABLE "Sales"."order;s"')
    with psycopg.connect(fenced.dsn(database=DATABASE), autocommit=True) as admin:
        indexes = admin.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'Sales'").fetchall()
        assert sorted(indexes) == [("customers_pkey",), ("order;s_pkey",), ("theirs",)]


def done_and_proven(connection: psycopg.Connection, server: EmbeddedPostgres, action: Action) -> None:
    rendered = render(action, "P-2")
    for step in rendered.steps:
        connection.execute(step.encode(), prepare=True)
    connection.execute("SELECT pg_stat_clear_snapshot()")
    with psycopg.connect(server.dsn(database=DATABASE), autocommit=True) as admin:
        assert admin.execute(rendered.proof.encode()).fetchone() == (True,), rendered.command
    for step in (*rendered.rollback_steps, *rendered.cleanup_steps):
        connection.execute(step.encode(), prepare=True)


@pytest.mark.integration
def test_the_two_wider_actions_work_where_the_fence_was_opened_for_them(fenced: EmbeddedPostgres) -> None:
    with psycopg.connect(fenced.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute(Fence(DATABASE, (OWNER,), actions=frozenset(OPENINGS)).sql())
    with as_fix_role(fenced) as connection:
        for action in OPT_IN_ACTIONS:
            done_and_proven(connection, fenced, action)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute('DROP TABLE "Sales"."order;s"')


@pytest.mark.integration
def test_run_and_abandon_compete_for_one_claim(fenced: EmbeddedPostgres) -> None:
    claim = "INSERT INTO stanch_guard.claim VALUES ('A-1', 'run', 0, %s, 'E-1') ON CONFLICT DO NOTHING"
    with as_fix_role(fenced) as one, as_fix_role(fenced) as other:
        assert one.execute(claim, ("run",)).rowcount == 1
        assert other.execute(claim, ("abandon",)).rowcount == 0
        with pytest.raises(psycopg.errors.UniqueViolation):
            other.execute("INSERT INTO stanch_guard.claim VALUES ('A-1', 'run', 0, 'abandon', 'E-2')")


@pytest.mark.integration
def test_an_owner_that_is_a_superuser_cannot_be_fenced(admin: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="superuser"):
        admin.execute(Fence("postgres", ("stanch_admin",)).sql())
    admin.execute("ROLLBACK")
    assert admin.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'stanch_fix'").fetchone() == (0,)
