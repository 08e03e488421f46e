from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from guardrails.action import Action, CreateIndexConcurrently, Rendered, render
from guardrails.fence import OPENINGS, SERVER_ACTIONS, Fence, UnusableFence
from guardrails.server_action import AlterSystemReload, DropReplicationSlot, RollbackPrepared, SetRoleSetting
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
        for role in ("stanch_diagnose", "stanch_fix", "stanch_signal", "stanch_server", "app", OWNER):
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                admin.execute(f'DROP OWNED BY "{role}"')
                admin.execute(f'DROP ROLE "{role}"')


EVERY_ROLE_IS_REFUSED = (
    'DROP TABLE "Sales"."order;s"',
    'TRUNCATE "Sales"."order;s"',
    'DELETE FROM "Sales"."order;s"',
    'UPDATE "Sales"."order;s" SET "order" = 1',
    'INSERT INTO "Sales"."order;s" VALUES (1)',
    'COPY "Sales"."order;s" FROM STDIN',
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/stanch'",
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "CREATE DATABASE mine",
    "CREATE ROLE another",
    "CREATE PUBLICATION everything FOR ALL TABLES",
    "CREATE TABLESPACE elsewhere LOCATION '/tmp'",
    "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION stanch_guard.refuse_other_commands()",
    "ALTER ROLE app SUPERUSER",
    "ALTER ROLE app PASSWORD 'mine'",
    "ALTER ROLE stanch_admin SET search_path = mine",
    "ALTER DATABASE postgres SET search_path = mine",
    'ALTER TABLE "Sales"."order;s" OWNER TO stanch_fix',
    'ALTER TABLE "Sales"."order;s" DISABLE TRIGGER ALL',
    "ALTER SYSTEM SET archive_command = 'true'",
    "ALTER SYSTEM SET session_preload_libraries = 'mine'",
    "ALTER SYSTEM SET fsync = off",
    "GRANT pg_read_all_data TO app",
    "SET SESSION AUTHORIZATION stanch_admin",
    "SET ROLE stanch_admin",
    "SET ROLE pg_write_all_data",
    "SET session_replication_role = replica",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_create_restore_point('mine')",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stanch_admin' AND pid <> pg_backend_pid()",
    "SELECT pg_create_physical_replication_slot('mine')",
    "DO $$ BEGIN EXECUTE 'CREATE TABLE mine (id int)'; END $$",
    "DELETE FROM stanch_guard.claim",
    "UPDATE stanch_guard.claim SET kind = 'run'",
    "TRUNCATE stanch_guard.claim",
    "DROP SCHEMA stanch_guard CASCADE",
    "DROP EVENT TRIGGER stanch_guard_commands",
    "ALTER EVENT TRIGGER stanch_guard_commands DISABLE",
)
"""For every role that writes, whatever it may do."""
NOT_THE_FIX_ROLE = (
    'SELECT * FROM "Sales"."order;s"',
    'SET ROLE "Shop\'s owner"',
    'CREATE INDEX CONCURRENTLY st_x ON "Sales"."order;s" (id)',
    'DO $$ BEGIN LOCK TABLE "Sales"."order;s"; END $$',
    'SELECT "Sales".sweep()',
    "ALTER ROLE app SET work_mem = '1MB'",
    "ALTER ROLE app CONNECTION LIMIT 0",
    "SELECT pg_drop_replication_slot('no_such')",
)
PERFORMED_BY_NOBODY = (
    "ALTER ROLE stanch_admin SET work_mem = '1MB'",
    "ALTER ROLE stanch_fix SET work_mem = '1MB'",
    "ALTER ROLE app SUPERUSER",
    "ALTER ROLE app SET search_path = 'mine'",
    "ALTER ROLE app SET session_preload_libraries = 'mine'",
    "ALTER ROLE app SET work_mem = '1MB'; DROP TABLE x",
    "ALTER ROLE app SET work_mem = '1MB' -- x",
    "ALTER ROLE ALL SET work_mem = '1MB'",
    "ALTER ROLE all SET work_mem = '1MB'",
    "ALTER ROLE current_user SET work_mem = '1MB'",
    "ALTER ROLE session_user SET work_mem = '1MB'",
    "ALTER ROLE current_role CONNECTION LIMIT 1",
    "ALTER ROLE nobody_of_that_name SET work_mem = '1MB'",
    "ALTER ROLE pg_read_all_data_ SET work_mem = '1MB'",
    "ALTER ROLE app RESET ALL",
    'ALTER ROLE "app""; DROP ROLE app; --" SET work_mem = \'1MB\'; SELECT 1',
    "SELECT pg_catalog.pg_drop_replication_slot('x'), pg_catalog.pg_reload_conf()",
    "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
    "",
)


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


def as_role(server: EmbeddedPostgres, role: str) -> psycopg.Connection:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    return psycopg.connect(server.dsn(role, PASSWORD, DATABASE), autocommit=True)


@pytest.fixture
def opened(fenced: EmbeddedPostgres) -> EmbeddedPostgres:
    """The fence with everything that can be let through let through."""
    every = frozenset(OPENINGS) | SERVER_ACTIONS
    fence = Fence(DATABASE, (OWNER,), revoke_owner_writes=True, actions=every, prepared_owners=("app",))
    with psycopg.connect(fenced.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute(fence.sql())
        admin.execute(fence.sql())
    return fenced


def refused(connection: psycopg.Connection, statements: tuple[str, ...]) -> None:
    """By the server, for want of a right; a mistake in the statement would be another error."""
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        connection.execute("RESET ROLE")


@pytest.mark.integration
@pytest.mark.parametrize("role", ["stanch_fix", "stanch_signal", "stanch_server"])
def test_what_no_role_may_do_is_refused_by_the_server(opened: EmbeddedPostgres, role: str) -> None:
    with as_role(opened, role) as connection:
        connection.execute("SET default_transaction_read_only = off")  # a default, which is no fence
        refused(connection, EVERY_ROLE_IS_REFUSED)
        if role != "stanch_fix":
            refused(connection, NOT_THE_FIX_ROLE)
        if role == "stanch_server":
            for command in PERFORMED_BY_NOBODY:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("SELECT stanch_guard.perform(%s)", (command,))
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT stanch_guard.perform('')")
        connection.execute("INSERT INTO stanch_guard.claim VALUES ('A-1', 'run', 0, 'run', 'E-1')")


@pytest.mark.integration
def test_the_signal_role_ends_an_applications_session(opened: EmbeddedPostgres) -> None:
    with psycopg.connect(opened.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE app LOGIN PASSWORD '{PASSWORD}'")
    with psycopg.connect(opened.dsn("app", PASSWORD, DATABASE)) as app, as_role(opened, "stanch_signal") as signal:
        found = signal.execute(
            "SELECT backend_start IS NOT NULL, pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s",
            (app.info.backend_pid,),
        ).fetchall()
        app.close()
    assert found == [(True, True)]


@pytest.mark.integration
def test_the_server_role_does_its_four_actions(opened: EmbeddedPostgres) -> None:
    with psycopg.connect(opened.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('left_behind')")
        admin.execute("SET ROLE app; BEGIN; PREPARE TRANSACTION 'forgotten'; RESET ROLE")
    with as_role(opened, "stanch_server") as server:
        for action in (SetRoleSetting("app", "work_mem", "8MB"), SetRoleSetting("app", "connection_limit", "7", "5")):
            for step in (*render(action, "P-1").steps, *render(action, "P-1").rollback_steps):
                server.execute("SELECT stanch_guard.perform(%s)", (step,))
        server.execute("SELECT stanch_guard.perform(%s)", (render(DropReplicationSlot("left_behind"), "P-1").command,))
        setting = render(AlterSystemReload("max_wal_size", "2GB"), "P-1")
        for step in (*setting.steps, *setting.rollback_steps):
            server.execute(step.encode(), prepare=True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.execute(render(RollbackPrepared("forgotten"), "P-1").command.encode())
        server.execute("SET ROLE app")
        server.execute(render(RollbackPrepared("forgotten"), "P-1").command.encode())
    with psycopg.connect(opened.dsn(database=DATABASE), autocommit=True) as admin:
        limit = admin.execute("SELECT rolconnlimit, rolconfig FROM pg_roles WHERE rolname = 'app'").fetchone()
        assert limit == (5, None)
        assert admin.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
        assert admin.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)


@pytest.mark.integration
def test_the_applications_foreign_keys_still_work_when_the_owner_may_not_write(fenced: EmbeddedPostgres) -> None:
    """A key is checked in the name of the tables' owner: SELECT FOR KEY SHARE asks for UPDATE, a cascade for DELETE."""
    with psycopg.connect(fenced.dsn(database=DATABASE), autocommit=True) as admin:
        admin.execute(
            """SET ROLE "Shop's owner";
            CREATE TABLE "Sales".lines (id int, customer int REFERENCES "Sales".customers ON DELETE CASCADE);
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "Sales" TO app;
            GRANT USAGE ON SCHEMA "Sales" TO app;
            RESET ROLE"""
        )
        admin.execute(FENCE.sql())
        admin.execute("SET ROLE app")
        admin.execute('INSERT INTO "Sales".customers VALUES (1)')
        admin.execute('INSERT INTO "Sales".lines VALUES (1, 1)')
        admin.execute('DELETE FROM "Sales".customers')
        assert admin.execute('SELECT count(*) FROM "Sales".lines').fetchone() == (0,)
    with as_fix_role(fenced) as fix, pytest.raises(psycopg.errors.InsufficientPrivilege):
        fix.execute('INSERT INTO "Sales".lines VALUES (1, 1)')


def test_prepared_transactions_are_let_through_with_their_owners_and_only_so() -> None:
    with pytest.raises(UnusableFence, match="owners of the prepared"):
        Fence("shop", ("o",), actions=frozenset({"rollback_prepared"}))
    with pytest.raises(UnusableFence, match="owners of the prepared"):
        Fence("shop", ("o",), prepared_owners=("app",))


def test_nobody_gets_a_server_role_who_did_not_ask_for_it() -> None:
    assert "stanch_server" not in Fence("shop", ("o",)).sql()
    assert "ALTER SYSTEM" not in Fence("shop", ("o",), actions=frozenset({"set_role_setting"})).sql()
