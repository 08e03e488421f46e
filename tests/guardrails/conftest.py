"""Real servers for the rooms' integration tests: the PostgreSQL that is installed, and the wheel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import Binaries

_SETTINGS = {"fsync": "off", "max_prepared_transactions": "4", "wal_level": "logical"}


@pytest.fixture(scope="session")
def server(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running cluster of its own."""
    place = tmp_path_factory.mktemp(binaries.origin)
    with ProcessGroup(place / "run", _silent) as group:
        postgres = EmbeddedPostgres(
            group,
            f"postgres-{binaries.origin}",
            place / "cluster",
            log_path=place / "postgres.log",
            progress=_silent,
            settings=_SETTINGS,
            binaries=binaries,
        )
        postgres.start()
        yield postgres
        postgres.stop()
        postgres.remove()


@pytest.fixture
def admin(server: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """The superuser's connection to the database `postgres`, in autocommit."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield connection


def _silent(_line: str) -> None:
    return None
