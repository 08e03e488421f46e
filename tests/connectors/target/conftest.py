"""A shop's database on a real server, fenced as `stanch target sql` says, with 200,000 orders and no index on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from guardrails.fence import OPENINGS, SERVER_ACTIONS, Fence
from tests.clusters import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import Binaries, EmbeddedPostgres

_SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "max_prepared_transactions": "4",
    "wal_level": "logical",
}
_SEED = """
CREATE EXTENSION pg_stat_statements;
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_app LOGIN PASSWORD 'app' IN ROLE pg_read_all_data, pg_write_all_data;
CREATE ROLE stranger LOGIN PASSWORD 'stranger';
GRANT CREATE ON SCHEMA public TO shop_owner;
SET ROLE shop_owner;
CREATE TABLE public.orders AS
  SELECT g AS id, (g::bigint * 7919) % 20000 AS customer_id,
         CASE WHEN g % 10 = 0 THEN 'open' ELSE 'done' END::varchar(10) AS status,
         timestamptz '2026-01-01' + g * interval '1 second' AS created_at
  FROM generate_series(1, 200000) g;
ALTER TABLE public.orders ADD PRIMARY KEY (id);
CREATE TABLE public."Bestellung Ü%" AS SELECT g AS "Nr", g % 20000 AS "Kunde ""K"" %s" FROM generate_series(1, 50000) g;
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO stanch_diagnose;
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """DSNs of one database. admin is the superuser's; server is the role that acts on the server's settings."""

    admin: str
    app: str
    diagnose: str
    fix: str
    stranger: str
    signal: str
    server: str


@pytest.fixture(scope="session")
def server(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running cluster of its own."""
    with running(binaries, tmp_path_factory.mktemp(binaries.origin), _SETTINGS) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def shop(server: EmbeddedPostgres) -> Shop:
    server.ensure_database("shop")
    admin = server.dsn(database="shop")
    with psycopg.connect(admin, autocommit=True) as connection:
        seed, _, grants = _SEED.partition("GRANT SELECT")
        connection.execute(seed)
        every = frozenset(OPENINGS) | SERVER_ACTIONS
        fence = Fence(database="shop", owners=("shop_owner",), actions=every, prepared_owners=("shop_app",))
        connection.execute(fence.sql())
        for role in ("stanch_diagnose", "stanch_fix", "stanch_signal", "stanch_server"):
            connection.execute(f"ALTER ROLE {role} PASSWORD 'secret-{role}'")
        connection.execute("GRANT SELECT" + grants)
    # In a session of its own: what the seeding counted has reached the statistics by its end.
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return Shop(
        admin=admin,
        app=server.dsn("shop_app", "app", "shop"),
        diagnose=server.dsn("stanch_diagnose", "secret-stanch_diagnose", "shop"),
        fix=server.dsn("stanch_fix", "secret-stanch_fix", "shop"),
        stranger=server.dsn("stranger", "stranger", "shop"),
        signal=server.dsn("stanch_signal", "secret-stanch_signal", "shop"),
        server=server.dsn("stanch_server", "secret-stanch_server", "shop"),
    )


@pytest.fixture
def admin(shop: Shop) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop.admin, autocommit=True) as connection:
        yield connection
