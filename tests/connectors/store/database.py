"""A store on a real server: migrated once as a template, copied for every test."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.store.migrate import migrate
from connectors.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from connectors.embedded.process import ProcessGroup

API, AGENT, EXECUTOR = ROLES = ("stanch_api", "stanch_agent", "stanch_executor")
TEMPLATE = "store_template"


@dataclass
class Database:
    """One migrated store. Everything opened through it is closed with it."""

    name: str
    server: StoreServer
    _stores: list[Store] = field(default_factory=list)
    _sessions: dict[str | None, psycopg.Connection] = field(default_factory=dict)

    def dsn(self, role: str | None = None) -> str:
        """Of a store role; None: the superuser's."""
        if role is None:
            return self.server.postgres.dsn(database=self.name)
        return self.server.postgres.dsn(role, f"secret-{role}", self.name)

    def store(self, role: str, *, max_size: int = 6) -> Store:
        made = Store(self.dsn(role), application_name=f"test {role}", max_size=max_size)
        self._stores.append(made)
        return made

    def run(self, statement: str, values: Sequence[Any] = (), *, role: str | None = None) -> list[Any]:
        """As in a psql session of the role: rows, each a tuple; empty when the statement returns none."""
        connection = self._sessions.get(role)
        if connection is None or connection.closed:
            connection = self._sessions[role] = psycopg.connect(self.dsn(role), autocommit=True)
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def away(self) -> Iterator[None]:
        """The store neither answers on open connections nor takes new ones."""
        for session in self._sessions.values():
            session.close()
        self._allow_connections(allow=False)
        try:
            yield
        finally:
            self._allow_connections(allow=True)

    def _allow_connections(self, *, allow: bool) -> None:
        with psycopg.connect(self.server.postgres.dsn(), autocommit=True) as connection:
            # A limit does not hold superusers back; this does.
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(self.name), sql.Literal(allow))
            )
            if not allow:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (self.name,)
                )

    def close(self) -> None:
        for store in self._stores:
            store.close()
        for session in self._sessions.values():
            session.close()


class StoreServer:
    """The cluster, with the three roles' passwords set and the template ready."""

    def __init__(self, group: ProcessGroup, place: Path) -> None:
        self.postgres = EmbeddedPostgres(
            group,
            "test-store",
            place / "cluster",
            log_path=place / "postgres.log",
            progress=_silent,
            # Nothing here survives the test run, so nothing has to reach the disk.
            settings={"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"},
        )
        self._numbers = itertools.count(1)

    def start(self) -> None:
        self.postgres.start()
        self.postgres.ensure_database(TEMPLATE)
        migrate(self.postgres.dsn(database=TEMPLATE))
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            for role in ROLES:
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(f"secret-{role}"))
                )

    def stop(self) -> None:
        self.postgres.stop()
        self.postgres.remove()

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[Database]:
        name = f"store_{next(self._numbers)}"
        template = sql.Identifier(TEMPLATE if migrated else "template1")
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template))
        made = Database(name, self)
        try:
            yield made
        finally:
            made.close()
            with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _silent(_: str) -> None:
    return
