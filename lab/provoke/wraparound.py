"""A server that has used 1.4 billion transaction ids and frozen nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg

from lab.provoke.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_JUMP = 1_400_000_000


@contextlib.contextmanager
def _jumped(server: TroubledServer) -> Iterator[None]:
    with server.superuser() as admin:
        found = admin.execute("SELECT txid_current()").fetchone()
    server.jump(((found[0] if found else 0) + _JUMP) & ~0xFFFFF)
    try:
        yield
    finally:
        _freeze_all(server)


def _freeze_all(server: TroubledServer) -> None:
    with server.superuser() as admin:
        admin.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
        names = [name for (name,) in admin.execute("SELECT datname FROM pg_database").fetchall()]
    for name in names:
        with psycopg.connect(server.postgres.dsn(database=name), autocommit=True) as connection:
            connection.execute("VACUUM (FREEZE, DISABLE_PAGE_SKIPPING)")
    with server.superuser() as admin:
        admin.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS false")


SCENARIOS = (
    Scenario(
        "wraparound",
        "1.4 billion transaction ids used and nothing frozen",
        _jumped,
        look_alikes=("old_xmin", "autovacuum_starved"),
        lasts=True,
    ),
)
