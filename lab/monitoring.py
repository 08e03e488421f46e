"""What the demo's Prometheus, Alertmanager and Stanch are told about the shop: values only, nothing is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRAPE_INTERVAL_S = 1
ALERT = "StorefrontSlow"
ALERT_THRESHOLD_S = 0.5
ALERT_FOR_S = 5
# Every request of the last 8 s counts. Shorter and one hiccup of a shared machine is more than a hundredth of the
# requests (at 60/s, p99 is the fifth slowest of 480); longer and a repaired shop looks broken for longer.
WINDOW_S = 8
TEMP_BYTES_PER_S = 10_000_000


def _p99(service: str) -> str:
    return (
        "histogram_quantile(0.99, sum by (service, le) "
        f'(rate(http_server_request_duration_seconds_bucket{{service="{service}"}}[{WINDOW_S}s])))'
    )


OTHERS_FOR_S = 10
"""What is broken further down is mostly told by the storefront first, and opens one incident there."""

SERVICE_GRAPH: tuple[tuple[str, str], ...] = (
    ("storefront", "orders"),
    ("storefront", "payments"),
    ("storefront", "catalog"),
    ("orders", "orders-db"),
    ("catalog", "orders-db"),
    ("billing", "orders-db"),
)
TARGET_SERVICE = "orders-db"

ALERT_EXPRESSION = f"{_p99('storefront')} > {ALERT_THRESHOLD_S}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. description: `{value}` stands for the expression's value, humanised by `shown_as`."""

    alert: str
    service: str
    expression: str
    summary: str
    description: str
    severity: str = "page"
    for_s: int = OTHERS_FOR_S
    shown_as: str = "humanizeDuration"

    def configured(self) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "expr": self.expression,
            "for": f"{self.for_s}s",
            "labels": {"service": self.service, "severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description.format(value=f"{{{{ $value | {self.shown_as} }}}}"),
            },
        }


RULES: tuple[Rule, ...] = (
    Rule(
        ALERT,
        "storefront",
        ALERT_EXPRESSION,
        f"storefront answers slowly: p99 over {ALERT_THRESHOLD_S} s",
        f"99 of 100 requests should be answered within {ALERT_THRESHOLD_S} s; the 99th now takes {{value}}.",
        for_s=ALERT_FOR_S,
    ),
    Rule(
        "StorefrontErrors",
        "storefront",
        f'sum by (service) (rate(http_server_requests_total{{service="storefront",code=~"5.."}}[{WINDOW_S}s]))'
        f' / sum by (service) (rate(http_server_requests_total{{service="storefront"}}[{WINDOW_S}s])) > 0.03',
        "storefront answers with errors: more than 3 of 100 requests",
        "Fewer than 3 of 100 requests should end in an error; {value} of them do.",
        shown_as="humanizePercentage",
    ),
    Rule(
        "OrdersSlow",
        "orders",
        f"{_p99('orders')} > {ALERT_THRESHOLD_S}",
        f"orders answers slowly: p99 over {ALERT_THRESHOLD_S} s",
        f"99 of 100 requests to orders should be answered within {ALERT_THRESHOLD_S} s; the 99th now takes {{value}}.",
    ),
    Rule(
        "CatalogSlow",
        "catalog",
        f"{_p99('catalog')} > 0.35",
        "catalog answers slowly: p99 over 0.35 s",
        "99 of 100 requests to catalog should be answered within 0.35 s; the 99th now takes {value}.",
    ),
    Rule(
        "BillingLate",
        "billing",
        "time() - max by (service) (job_last_success_timestamp_seconds) > 15",
        "billing makes no invoices: the last run that succeeded is over 15 s ago",
        "Invoices should be made every 3 s; the last run that succeeded ended {value} ago.",
        for_s=ALERT_FOR_S,
    ),
    Rule(
        "DatabaseConnectionsHigh",
        TARGET_SERVICE,
        "sum by (service) (pg_stat_activity_count) / max by (service) (pg_settings_max_connections) > 0.8",
        "orders-db has few connections left: over 80 % are taken",
        "{value} of max_connections are taken; nobody can connect when all are.",
        shown_as="humanizePercentage",
    ),
    Rule(
        "DatabaseBusy",
        TARGET_SERVICE,
        'sum by (service) (pg_stat_activity_count{state="active",wait_event_type!="Lock"}) > 5',
        "orders-db works at more than five statements at a time",
        "The shop's statements take milliseconds, so hardly two run at a time; {value} processes are at work now.",
        shown_as="humanize",
    ),
    Rule(
        "DatabaseDeadRows",
        TARGET_SERVICE,
        "max by (service) (pg_stat_user_tables_n_dead_tup"
        " / (pg_stat_user_tables_n_live_tup + pg_stat_user_tables_n_dead_tup + 1000)) > 0.25",
        "orders-db has a table whose dead rows are not removed: over 25 %",
        "{value} of a table's rows are dead; autovacuum should remove them before they are 25 %.",
        severity="ticket",
        shown_as="humanizePercentage",
    ),
    Rule(
        "DatabaseTempBytes",
        TARGET_SERVICE,
        f"sum by (service) (rate(pg_stat_database_temp_bytes[{WINDOW_S}s])) > {TEMP_BYTES_PER_S}",
        "orders-db writes temporary files: over 10 MB a second",
        "Sorts and hashes should fit into memory; {value}B a second go into temporary files.",
        severity="ticket",
        shown_as="humanize",
    ),
)


def global_config() -> dict[str, Any]:
    interval = f"{SCRAPE_INTERVAL_S}s"
    return {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}


def scrape_configs(targets: Mapping[str, str]) -> list[dict[str, Any]]:
    """One job a service. targets: service → host:port of its /metrics.

    The label `service` is put on process metrics; where the service has said it itself, its own word is kept.
    """
    return [
        {
            "job_name": service,
            "honor_labels": True,
            "static_configs": [{"targets": [address], "labels": {"service": service}}],
        }
        for service, address in targets.items()
    ]


def rule_groups() -> list[dict[str, Any]]:
    interval = f"{SCRAPE_INTERVAL_S}s"
    return [{"name": "shop", "interval": interval, "rules": [rule.configured() for rule in RULES]}]


def alertmanager_route() -> dict[str, Any]:
    """Alertmanager's route without its receiver."""
    return {
        "group_by": ["alertname", "service"],
        "group_wait": "0s",
        "group_interval": "5s",
        "repeat_interval": "1h",
    }


def alertmanager_config(webhook_url: str, credentials_file: str) -> dict[str, Any]:
    """The whole alertmanager.yml for an Alertmanager that Stanch does not start itself."""
    hook = {
        "url": webhook_url,
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": credentials_file}},
    }
    return {
        "route": {**alertmanager_route(), "receiver": "stanch"},
        "receivers": [{"name": "stanch", "webhook_configs": [hook]}],
    }


def stanch_sections() -> dict[str, Any]:
    """The parts of stanch.yaml that describe the shop; targets, approvers and policy are the caller's."""
    return {
        "graph": [list(edge) for edge in SERVICE_GRAPH],
        "metrics": causal_metrics(),
        # One sample a second, a minute and a half of them before the impact: what a fresh demo has to compare with.
        "ranking": {"before_s": 90.0, "step_s": float(SCRAPE_INTERVAL_S)},
        "verification": {"window_s": 30.0, "deadline_s": 180.0, "step_s": float(SCRAPE_INTERVAL_S)},
    }


def target_labels() -> dict[str, str]:
    """The labels of the database that can be repaired, for its target's selector."""
    return {"service": TARGET_SERVICE}


def causal_metrics() -> list[dict[str, str]]:
    """For stanch.yaml's `metrics`: each query gives one series a service.

    Written so that a quiet service gives 0, not no series, wherever 0 is the truth; a latency without requests
    stays absent.
    """
    window = f"[{WINDOW_S}s]"
    seconds = "http_server_request_duration_seconds"
    requests = f"sum by (service) (rate(http_server_requests_total{window}))"
    failed = f'sum by (service) (rate(http_server_requests_total{{code=~"5.."}}{window}))'
    families = (
        (
            "latency_p99_seconds",
            "latency",
            f"histogram_quantile(0.99, sum by (service, le) (rate({seconds}_bucket{window})))",
        ),
        (
            "latency_mean_seconds",
            "latency",
            f"sum by (service) (rate({seconds}_sum{window})) / sum by (service) (rate({seconds}_count{window}))",
        ),
        ("requests_per_second", "traffic", requests),
        ("errors_per_second", "errors", f"{failed} or 0 * {requests}"),
        ("pool_waiting", "saturation", "sum by (service) (db_pool_requests_waiting)"),
        ("pool_in_use", "saturation", "sum by (service) (db_pool_connections_in_use)"),
        ("cpu_cores", "saturation", f'sum by (service) (rate(process_cpu_seconds_total{{service!="load"}}{window}))'),
        ("active_sessions", "saturation", 'sum by (service) (pg_stat_activity_count{state="active"})'),
        (
            "rows_read_by_scans_per_second",
            "other",
            f"sum by (service) (rate(pg_stat_user_tables_seq_tup_read{window}))",
        ),
        (
            "statement_seconds_per_second",
            "latency",
            f"sum by (service) (rate(pg_stat_statements_seconds_total{window}))",
        ),
        ("commits_per_second", "traffic", f"sum by (service) (rate(pg_stat_database_xact_commit{window}))"),
        ("connections", "saturation", "sum by (service) (pg_stat_activity_count)"),
        (
            "lock_waits",
            "saturation",
            'sum by (service) (pg_stat_activity_count{wait_event_type="Lock"}) or 0 * sum by (service) (pg_up)',
        ),
        ("temp_bytes_per_second", "other", f"sum by (service) (rate(pg_stat_database_temp_bytes{window}))"),
        ("dead_rows", "other", "sum by (service) (pg_stat_user_tables_n_dead_tup)"),
        ("job_overdue_seconds", "latency", "time() - max by (service) (job_last_success_timestamp_seconds)"),
    )
    return [{"name": name, "kind": kind, "query": query, "service_label": "service"} for name, kind, query in families]
