"""What the demo's Prometheus, Alertmanager and Stanch are told about the shop: values only, nothing is started."""

from __future__ import annotations

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

SERVICE_GRAPH: tuple[tuple[str, str], ...] = (
    ("storefront", "orders"),
    ("storefront", "payments"),
    ("orders", "orders-db"),
)
TARGET_SERVICE = "orders-db"

_LATENCY = (
    "histogram_quantile(0.99, sum by (service, le) "
    f'(rate(http_server_request_duration_seconds_bucket{{service="storefront"}}[{WINDOW_S}s])))'
)
ALERT_EXPRESSION = f"{_LATENCY} > {ALERT_THRESHOLD_S}"


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
    return [
        {
            "name": "shop",
            "interval": f"{SCRAPE_INTERVAL_S}s",
            "rules": [
                {
                    "alert": ALERT,
                    "expr": ALERT_EXPRESSION,
                    "for": f"{ALERT_FOR_S}s",
                    "labels": {"service": "storefront", "severity": "page"},
                    "annotations": {
                        "summary": f"storefront answers slowly: p99 over {ALERT_THRESHOLD_S} s",
                        "description": "99 of 100 requests should be answered within "
                        f"{ALERT_THRESHOLD_S} s; the 99th now takes {{{{ $value | humanizeDuration }}}}.",
                    },
                }
            ],
        }
    ]


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
    )
    return [{"name": name, "kind": kind, "query": query, "service_label": "service"} for name, kind, query in families]
