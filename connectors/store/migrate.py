"""Plain SQL migrations, in order, each once, in one transaction. Two at once wait for each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import psycopg

from connectors.unreachable import Unreachable

_LOCK = 727_202_611
_LEDGER = """
CREATE SCHEMA IF NOT EXISTS stanch;
CREATE TABLE IF NOT EXISTS stanch.schema_migration (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
"""


class ChangedMigration(RuntimeError):
    """A migration that was applied is no longer the text that was applied: the tree and the store disagree."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    folder = resources.files("connectors.store").joinpath("migrations")
    found = (Migration(item.name, item.read_text(encoding="utf-8")) for item in folder.iterdir())
    return tuple(sorted((m for m in found if m.name.endswith(".sql")), key=lambda m: m.name))


def migrate(owner_dsn: str) -> tuple[str, ...]:
    """Applies what is missing; returns the names applied, empty when the store is up to date.

    owner_dsn: a role that may create schemas and roles. Raises Unreachable, ChangedMigration.
    """
    try:
        with psycopg.connect(owner_dsn, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_LEDGER.encode())
            rows = connection.execute("SELECT name, sha256 FROM stanch.schema_migration").fetchall()
            return _apply(connection, dict(rows))
    except psycopg.Error as error:
        raise away(error) from error


def away(error: psycopg.Error) -> Unreachable:
    """What the store said, without the DSN that psycopg repeats when it cannot read it."""
    if isinstance(error, psycopg.OperationalError):
        return Unreachable("store", str(error).strip())
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return Unreachable("store", "its DSN cannot be read", permanent=True)
    return Unreachable("store", str(error).strip(), permanent=True)


def _apply(connection: psycopg.Connection, applied: dict[str, str]) -> tuple[str, ...]:
    new = []
    for migration in migrations():
        if migration.name in applied:
            if applied[migration.name] != migration.sha256:
                raise ChangedMigration(f"{migration.name} was changed after it was applied; add a new one instead")
            continue
        connection.execute(migration.text.encode())
        connection.execute(
            "INSERT INTO stanch.schema_migration (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
        )
        new.append(migration.name)
    return tuple(new)


def pending(dsn: str) -> tuple[str, ...]:
    """Names not applied yet. Raises Unreachable."""
    try:
        with psycopg.connect(dsn, connect_timeout=10, autocommit=True) as connection:
            exists = connection.execute("SELECT to_regclass('stanch.schema_migration') IS NOT NULL").fetchone()
            if exists != (True,):
                return tuple(m.name for m in migrations())
            rows = connection.execute("SELECT name FROM stanch.schema_migration").fetchall()
    except psycopg.Error as error:
        raise away(error) from error
    done = {name for (name,) in rows}
    return tuple(m.name for m in migrations() if m.name not in done)
