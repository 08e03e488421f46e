"""A throw-away server to provoke incidents on: a shop, the roles of a fenced target, settings that hurt soon."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import psycopg

from connectors.embedded.account import unprivileged_account
from connectors.embedded.postgres import EmbeddedPostgres, find_binaries
from connectors.embedded.process import plain_environment
from guardrails.fence import DEFAULT_ACTIONS, Fence
from lab.provoke.standby import standby

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from connectors.embedded.postgres import Binaries
    from connectors.embedded.process import ProcessGroup

DATABASE = "shop"
SETTINGS = {
    "fsync": "off",
    # On, as everywhere, and never about to come by itself.
    "autovacuum": "on",
    "autovacuum_naptime": "2147483s",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "wal_level": "logical",
    "max_prepared_transactions": "10",
    "max_connections": "60",
    "archive_mode": "on",
    "archive_command": "true",
    "track_io_timing": "on",
    "hot_standby_feedback": "on",
}
_ACTIONS = DEFAULT_ACTIONS | {"drop_index_concurrently"}
_ROLES = ("diagnose", "fix", "signal")
_SEED = """
CREATE EXTENSION pg_stat_statements;
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_app LOGIN PASSWORD 'app' IN ROLE pg_read_all_data, pg_write_all_data;
CREATE ROLE shop_deploy LOGIN PASSWORD 'deploy' IN ROLE shop_owner;
GRANT CREATE ON SCHEMA public TO shop_owner;
SET ROLE shop_owner;
CREATE TABLE public.orders AS
  SELECT g AS id, (g::bigint * 7919) % 20000 AS customer_id,
         CASE WHEN g % 10 = 0 THEN 'open' ELSE 'done' END::varchar(10) AS status,
         timestamptz '2026-01-01' + g * interval '1 second' AS created_at
  FROM generate_series(1, 200000) g;
ALTER TABLE public.orders ADD PRIMARY KEY (id);
CREATE TABLE public.stock (id bigint PRIMARY KEY, amount bigint NOT NULL);
INSERT INTO public.stock SELECT g, 100 FROM generate_series(1, 1000) g;
RESET ROLE;
"""
PATIENCE_S = 20.0


class TroubledServer:
    """Start it, provoke, diagnose, stop it. DSNs by role: admin is the superuser, app the shop's own role."""

    def __init__(self, group: ProcessGroup, place: Path, *, binaries: Binaries | None = None) -> None:
        self._group = group
        self._place = place
        self._binaries = binaries or find_binaries()
        self.postgres = EmbeddedPostgres(
            group,
            "troubled",
            place / "cluster",
            log_path=place / "postgres.log",
            progress=_silent,
            settings=SETTINGS,
            binaries=self._binaries,
        )

    def start(self) -> None:
        self.postgres.start()
        self.postgres.ensure_database(DATABASE)
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(_SEED)
            connection.execute(Fence(database=DATABASE, owners=("shop_owner",), actions=_ACTIONS).sql())
            for role in _ROLES:
                connection.execute(f"ALTER ROLE stanch_{role} PASSWORD 'secret-{role}'")
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stanch_diagnose")
            connection.execute("VACUUM ANALYZE")

    def stop(self) -> None:
        self.postgres.stop()
        self.postgres.remove()

    @property
    def admin(self) -> str:
        return self.postgres.dsn(database=DATABASE)

    @property
    def app(self) -> str:
        return self.postgres.dsn("shop_app", "app", DATABASE)

    @property
    def deploy(self) -> str:
        """Of the role that changes the schema, a member of the tables' owner."""
        return self.postgres.dsn("shop_deploy", "deploy", DATABASE)

    def dsn(self, role: str, of: EmbeddedPostgres | None = None) -> str:
        """Of one of a target's own roles: diagnose, fix, signal; admin is the superuser. of: another server, a copy."""
        server = of or self.postgres
        if role == "admin":
            return server.dsn(database=DATABASE)
        return server.dsn(f"stanch_{role}", f"secret-{role}", DATABASE)

    @contextlib.contextmanager
    def session(
        self, application: str = "shop", *, autocommit: bool = False, dsn: str = ""
    ) -> Iterator[psycopg.Connection]:
        """A session of the application. It may have been ended when the scenario is over."""
        connection = psycopg.connect(dsn or self.app, application_name=application, autocommit=autocommit)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def standby(self) -> Iterator[EmbeddedPostgres]:
        """A copy that streams from here."""
        with standby(self.postgres, self._binaries, self._group, self._place) as copy:
            yield copy

    def jump(self, xid: int) -> None:
        """Stops the server, moves its next transaction id, and starts it again: years in seconds.

        pg_resetwal(1) wants the file of the commit log that the new id falls into to be there: 256 KiB for each 2^20.
        """
        self.postgres.stop()
        account = unprivileged_account()
        log = self.postgres.data_dir / "pg_xact" / f"{xid >> 20:04X}"
        log.write_bytes(bytes(256 * 1024))
        if account is not None:
            shutil.chown(log, account.uid, account.gid)
        subprocess.run(
            [self._binaries.bin_dir / "pg_resetwal", "-x", str(xid), "-D", self.postgres.data_dir],
            check=True,
            capture_output=True,
            cwd="/",
            env=plain_environment(),
            **(account.popen_arguments() if account else {}),
        )
        self.postgres.start()

    def calm(self) -> None:
        """Ends every session of the shop's roles: what waits for a lock does not notice that its client has gone."""
        with self.superuser() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'shop%'")
        self.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename LIKE 'shop%'")

    @contextlib.contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.admin, autocommit=True, application_name="provoke") as connection:
            yield connection

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        """Server settings for as long as an incident lasts; only those that a reload is enough for."""
        with self.superuser() as admin:
            for name, value in values.items():
                admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            with self.superuser() as admin:
                for name in values:
                    admin.execute(f"ALTER SYSTEM RESET {name}")
                admin.execute("SELECT pg_reload_conf()")

    def until(self, question: str, wanted: Callable[[object], bool] = bool) -> None:
        """Waits until the superuser's one-value question has a wanted answer.

        Raises:
            TimeoutError: it has not after PATIENCE_S.
        """
        end = time.monotonic() + PATIENCE_S
        with self.superuser() as admin:
            while time.monotonic() < end:
                answer = admin.execute(question).fetchone()
                if answer is not None and wanted(answer[0]):
                    return
                time.sleep(0.05)
        raise TimeoutError(f"not after {PATIENCE_S:.0f} s: {question}")


def _silent(_line: str) -> None:
    return None
