"""Fills the shop's database: `seed` on a fresh cluster, once; copies of the cluster are cheaper than a second fill."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from connectors import named_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATABASE = "shop"
OWNER_ROLE = "shop_owner"
APP_ROLE = "shop_app"
EXPORTER_ROLE = "shop_exporter"
DEMO_ROWS = 2_400_000
PRODUCTS_PER_CATEGORY = 250

_BATCHES = 12
_CONNECTIONS = 2
_SQL = named_sql.load("lab.shop", "schema.sql")


@dataclass(frozen=True, slots=True)
class Seeded:
    """rows: orders in the table afterwards. filled: False when they were there already and nothing was done."""

    rows: int
    customers: int
    seconds: float
    filled: bool


def customers_for(rows: int) -> int:
    """One customer for every twelve orders: 200,000 for the demo's 2.4 million."""
    return max(1, rows // 12)


def products_for(rows: int) -> int:
    """One product for every 24 orders, but a shop of 2,000 at least: 100,000 for the demo's 2.4 million."""
    return max(2_000, rows // 24)


def categories_for(rows: int) -> int:
    return products_for(rows) // PRODUCTS_PER_CATEGORY


def batches(rows: int, count: int = _BATCHES) -> tuple[tuple[int, int], ...]:
    """Closed ranges of order ids, ascending, that cover 1..rows without a gap."""
    edges = [rows * i // count for i in range(count + 1)]
    return tuple((low + 1, high) for low, high in pairwise(edges) if high > low)


def seed(dsn: str, rows: int, progress: Callable[[str, float], None]) -> Seeded:
    """Create roles, database `shop` and its tables, and fill them, on two connections at a time.

    dsn: a superuser on any database of the cluster (CREATE DATABASE, CREATE EXTENSION).
    progress: called with a phase and the share of all work done, 0 to 1.
    A shop that is whole is left alone; one whose fill was interrupted is filled anew. Raises ValueError for
    rows < 1 and psycopg.Error for what the server says.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    started = time.monotonic()
    _create_database(dsn)
    shop = make_conninfo(dsn, dbname=DATABASE)
    with psycopg.connect(shop) as connection:
        if _is_complete(connection):
            present, customers = _count(connection, "orders"), _count(connection, "customers")
            return Seeded(present, customers, time.monotonic() - started, filled=False)
        connection.execute(_SQL["tables"].encode())
    _fill(shop, rows, progress)
    _settle(shop, progress)
    return Seeded(rows, customers_for(rows), time.monotonic() - started, filled=True)


def set_password(dsn: str, role: str, password: str) -> None:
    """Give a login role its password: after a cached cluster was copied, so that the cache holds no secret."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)),
        )


def _create_database(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SQL["roles"].encode())
        exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if exists is None:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)))


def _fill(dsn: str, rows: int, progress: Callable[[str, float], None]) -> None:
    """Shares of progress as measured on two cores: filling 55 %, indexes 25 %, foreign key and vacuum the rest."""
    customers = {"customers": customers_for(rows)}
    progress("customers", 0.0)
    _run(dsn, _SQL["fill_customers"], customers)
    _run(dsn, _SQL["fill_products"], {"products": products_for(rows), "categories": categories_for(rows)})
    _run(dsn, _SQL["fill_daily_prices"])
    parts = [customers | {"rows": rows, "first": first, "last": last} for first, last in batches(rows)]
    with ThreadPoolExecutor(_CONNECTIONS) as connections:
        # A seed of its own for each batch: the same orders every time, whichever connection takes it.
        filling = [connections.submit(_run, dsn, _SQL["fill_orders"], part, i) for i, part in enumerate(parts)]
        for done, _ in enumerate(as_completed(filling)):
            progress("orders", round(0.05 + 0.55 * (done + 1) / len(filling), 3))
        _all_succeeded(filling)
        progress("indexes", 0.6)
        _all_succeeded(
            [connections.submit(_run, dsn, _SQL[name]) for name in ("index_orders_by_customer", "index_ids")]
        )
    progress("constraints", 0.8)
    _run(dsn, _SQL["constraints"])


def _all_succeeded(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result()


def _run(dsn: str, query: str, values: Mapping[str, object] | None = None, batch: int = 0) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
        connection.execute("SELECT setseed(%s)", (1.0 / (2 + batch),))
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        connection.execute(query.encode(), values)


def _settle(dsn: str, progress: Callable[[str, float], None]) -> None:
    progress("vacuum", 0.92)
    with psycopg.connect(dsn, autocommit=True) as connection:
        # Without this the first autovacuum, due a minute after the fill, would fall into the demo.
        connection.execute(
            "VACUUM (FREEZE, ANALYZE) customers, orders, products, daily_prices, invoices, billing_progress"
        )
        # Everything is on disk before anyone stops and copies the cluster.
        connection.execute("CHECKPOINT")
    progress("done", 1.0)


def _is_complete(connection: psycopg.Connection) -> bool:
    row = connection.execute(_SQL["complete"].encode()).fetchone()
    return bool(row and row[0])


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    return int(row[0]) if row else 0
