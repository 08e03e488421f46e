"""The shop as processes: real HTTP, real PostgreSQL."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from connectors.embedded.process import ProcessGroup
from lab.exporter import DEFAULT_SERVICE
from lab.shop.seed import APP_ROLE, EXPORTER_ROLE
from lab.topology import Shop
from tests.lab.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.conftest import Target

pytestmark = pytest.mark.integration


def _get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=15)


def _metrics(shop: Shop, service: str) -> str:
    return _get(f"http://{shop.scrape_targets()[service]}/metrics").text


def _order(shop: Shop, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{shop.storefront_url}/orders", json=body, timeout=15)


def test_a_customers_orders_come_newest_first_and_at_most_twenty(shop: Shop) -> None:
    answer = _get(f"{shop.storefront_url}/customers/1/orders").json()

    placed = [order["placed_at"] for order in answer["orders"]]
    assert len(placed) == 20
    assert placed == sorted(placed, reverse=True)
    assert answer["methods"]


def test_a_placed_order_is_in_the_database_and_says_when_it_was_committed(shop: Shop, target: Target) -> None:
    before = time.time()
    answer = _order(shop, {"customer_id": 3, "amount_cents": 1234})

    assert answer.status_code == 201
    assert before <= answer.json()["committed_at"] <= time.time()
    with psycopg.connect(target.admin_dsn) as connection:
        row = connection.execute(
            "SELECT customer_id, total_cents FROM orders WHERE id = %s", (answer.json()["id"],)
        ).fetchone()
    assert row == (3, 1234)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"customer_id": 3}, 400),
        ({"customer_id": "3; DROP TABLE orders", "amount_cents": 1}, 400),
        ({"customer_id": 999_999_999, "amount_cents": 1}, 404),
        ({"customer_id": 3, "amount_cents": 99_999_999}, 402),
    ],
)
def test_an_order_that_cannot_be_placed_is_refused_with_its_reason(
    shop: Shop, body: dict[str, Any], status: int
) -> None:
    answer = _order(shop, body)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_table_that_is_locked_is_a_504_on_every_hop_and_over_when_the_lock_is(shop: Shop, target: Target) -> None:
    with psycopg.connect(target.admin_dsn) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        late = _get(f"{shop.storefront_url}/customers/1/orders")
    again = _get(f"{shop.storefront_url}/customers/1/orders")

    assert late.status_code == 504
    assert again.status_code == 200
    assert 'http_client_requests_total{code="timeout",peer="orders",service="storefront"}' in _metrics(
        shop, "storefront"
    )


def test_every_edge_and_pool_is_measured(shop: Shop) -> None:
    _get(f"{shop.storefront_url}/customers/1/orders")
    storefront, orders = _metrics(shop, "storefront"), _metrics(shop, "orders")

    for peer in ("orders", "payments"):
        assert f'http_client_request_duration_seconds_count{{peer="{peer}",service="storefront"}}' in storefront
    for name in ("db_pool_size", "db_pool_connections_in_use", "db_pool_requests_waiting"):
        assert f'{name}{{pool="read",service="orders"}}' in orders
    assert 'db_query_duration_seconds_count{service="orders",statement="newest_orders"}' in orders


def _control(shop: Shop, service: str, order: dict[str, Any]) -> httpx.Response:
    return httpx.post(shop.control(service), json=order, timeout=15)


def _sessions(target: Target, application: str, state: str) -> int:
    with psycopg.connect(target.admin_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = %s", (application, state)
        ).fetchone()
    return int(row[0]) if row else 0


def test_a_product_is_shown_with_the_most_wanted_of_its_category(shop: Shop) -> None:
    page = _get(f"{shop.storefront_url}/products/7").json()
    search = _get(f"{shop.storefront_url}/search?category_id={page['product']['category_id']}").json()

    assert page["product"]["name"] == "Product 7"
    assert len(page["others"]) == 20
    assert search["products"] == page["others"]
    assert _get(f"{shop.storefront_url}/products/999999999").status_code == 404


def test_billing_puts_a_new_order_on_an_invoice_once(shop: Shop, target: Target) -> None:
    def invoiced() -> list[int]:
        with psycopg.connect(target.admin_dsn) as connection:
            rows = connection.execute("SELECT total_cents FROM invoices WHERE customer_id = 11").fetchall()
        return [row[0] for row in rows]

    for _ in range(2):
        assert _order(shop, {"customer_id": 11, "amount_cents": 777}).status_code == 201

    assert eventually(lambda: sum(invoiced()) == 2 * 777)
    with psycopg.connect(target.admin_dsn) as connection:
        row = connection.execute("SELECT sum(orders) FROM invoices WHERE customer_id = 11").fetchone()
    assert row == (2,)
    assert 'job_runs_total{outcome="succeeded",service="billing"}' in _metrics(shop, "billing")


def test_the_month_ends_once_at_a_time_and_when_it_is_told_to(shop: Shop) -> None:
    assert _control(shop, "billing", {"kind": "month_end", "seconds": 60}).status_code == 200
    assert _control(shop, "billing", {"kind": "month_end"}).status_code == 409
    assert eventually(lambda: 'statement="month_end"' in _metrics(shop, "billing"))
    assert _control(shop, "billing", {"kind": "none"}).status_code == 200
    assert _control(shop, "billing", {"kind": "month_end", "seconds": 0}).status_code == 200


@pytest.mark.parametrize(
    ("service", "pool", "application"),
    [("catalog", "products", "shop-catalog"), ("orders", "read", "shop-orders-read")],
)
def test_leaked_connections_are_idle_sessions_of_the_guilty_and_come_back_when_it_is_undone(
    shop: Shop, target: Target, service: str, pool: str, application: str
) -> None:
    def lent() -> float:
        prefix = f'db_pool_connections_in_use{{pool="{pool}",service="{service}"}} '
        lines = [line for line in _metrics(shop, service).splitlines() if line.startswith(prefix)]
        return float(lines[0].removeprefix(prefix))

    size = 84 if service == "catalog" else 2
    answer = _control(shop, service, {"kind": "leak", "pool": pool, "leave": size - 2})

    assert answer.status_code == 200
    assert lent() == 2
    assert _sessions(target, application, "idle") >= 2
    assert _control(shop, service, {"kind": "leak", "pool": pool}).status_code == 409
    assert _control(shop, service, {"kind": "none"}).status_code == 200
    assert eventually(lambda: lent() == 0)


def test_the_exporter_speaks_of_the_target_and_holds_no_transaction_open(shop: Shop, target: Target) -> None:
    text = _metrics(shop, DEFAULT_SERVICE)

    assert 'pg_up{service="orders-db"} 1.0' in text
    assert "pg_exporter_collector_failed" in text
    assert '"} 1.0' not in "".join(line for line in text.splitlines() if "collector_failed{" in line)
    for name in (
        "pg_stat_user_tables_seq_tup_read",
        "pg_stat_database_xact_commit",
        "pg_stat_activity_count",
        "pg_stat_activity_max_tx_duration",
        "pg_long_running_transactions",
        "pg_stat_database_temp_bytes",
        "pg_stat_user_tables_n_dead_tup",
        "pg_locks_count",
        "pg_settings_max_connections",
        "pg_stat_statements_seconds_total",
    ):
        assert f"\n{name}{{" in text
    with psycopg.connect(target.admin_dsn) as connection:
        rows = connection.execute(
            "SELECT state, xact_start FROM pg_stat_activity WHERE application_name = 'lab-exporter'"
        ).fetchall()
    assert rows == [("idle", None)]


def test_exporter_and_orders_come_back_after_the_target_was_restarted(shop: Shop, target: Target) -> None:
    target.postgres.stop()
    down = _metrics(shop, DEFAULT_SERVICE)
    target.postgres.start()

    assert 'pg_up{service="orders-db"} 0.0' in down
    assert eventually(lambda: 'pg_up{service="orders-db"} 1.0' in _metrics(shop, DEFAULT_SERVICE))
    assert eventually(lambda: _get(f"{shop.storefront_url}/customers/1/orders").status_code == httpx.codes.OK)


def test_the_load_records_committed_writes_and_ends_in_order(shop: Shop) -> None:
    started = time.time()
    load = shop.start_load()

    assert eventually(lambda: _get(f"{shop.load_url}/gaps?since={started}").json()["writes"] > 10)
    gaps = _get(f"{shop.load_url}/gaps?since={started}").json()
    assert gaps["longest_gap_seconds"] > 0
    assert _get(f"{shop.load_url}/gaps").status_code == 400
    assert 'load_requests_total{code="200",kind="read"}' in _get(f"{shop.load_url}/metrics").text
    for order, status in (("surge", 200), ("surge", 409), ("none", 200), ("surge", 200), ("famine", 400)):
        assert _control(shop, "load", {"kind": order, "factor": 2, "seconds": 5}).status_code == status
    load.signal(signal.SIGTERM)
    assert load.wait(15) == 0
    shop.stop_load()


def test_every_process_ends_in_order_when_told_to(target: Target, tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", lambda _line: None) as group:
        shop = Shop(
            group,
            app_dsn=target.dsn(APP_ROLE),
            exporter_dsn=target.dsn(EXPORTER_ROLE),
            log_dir=tmp_path,
            rows=target.rows,
        )
        shop.start()
        children = group.children()
        for child in children:
            child.signal(signal.SIGTERM)

        assert {child.name: child.wait(15) for child in children} == dict.fromkeys(
            ("payments", "orders", "catalog", "billing", "storefront", "exporter"), 0
        )
