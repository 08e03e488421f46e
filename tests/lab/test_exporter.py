"""Rows into metrics, and what a scrape says when the target is not there."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from connectors.embedded.process import free_port
from lab.exporter import TargetCollector, families

_ROWS = (
    {"label_relname": "orders", "seq_scan": 7, "seq_tup_read": 16_800_000, "note": "not a number"},
    {"label_relname": "customers", "seq_scan": 1, "seq_tup_read": None, "note": "not a number"},
)


def test_each_value_column_becomes_a_metric_with_the_rows_labels() -> None:
    made = {metric.name: metric for metric in families("pg_stat_user_tables", "orders-db", _ROWS)}

    assert set(made) == {"pg_stat_user_tables_seq_scan", "pg_stat_user_tables_seq_tup_read"}
    scans = made["pg_stat_user_tables_seq_scan"].samples
    assert [(sample.labels, sample.value) for sample in scans] == [
        ({"service": "orders-db", "relname": "orders"}, 7.0),
        ({"service": "orders-db", "relname": "customers"}, 1.0),
    ]


def test_a_null_is_left_out_and_not_made_zero() -> None:
    made = {metric.name: metric for metric in families("pg_stat_user_tables", "orders-db", _ROWS)}

    assert [s.labels["relname"] for s in made["pg_stat_user_tables_seq_tup_read"].samples] == ["orders"]


def test_a_target_that_does_not_answer_is_down_and_gives_nothing_else() -> None:
    registry = CollectorRegistry()
    registry.register(TargetCollector(f"postgresql://nobody@127.0.0.1:{free_port()}/shop", "orders-db"))

    text = generate_latest(registry).decode()

    assert 'pg_up{service="orders-db"} 0.0' in text
    assert 'pg_exporter_collector_failed{collector="pg_stat_user_tables",service="orders-db"} 1.0' in text
    assert "pg_stat_user_tables_seq_scan" not in text
