"""The values that Prometheus, Alertmanager and Stanch are configured with."""

from __future__ import annotations

import promql_parser
import pytest

from agent.expression import signal_of
from lab import monitoring
from lab.shop.telemetry import LATENCY_BUCKETS_S
from service.configuration import Configuration


@pytest.mark.parametrize("metric", monitoring.causal_metrics(), ids=lambda metric: metric["name"])
def test_every_query_of_the_ranking_is_promql(metric: dict[str, str]) -> None:
    assert promql_parser.parse(metric["query"]) is not None


def test_the_alert_compares_with_an_edge_of_the_histogram() -> None:
    parsed = promql_parser.parse(monitoring.ALERT_EXPRESSION)

    assert isinstance(parsed, promql_parser.BinaryExpr)
    assert isinstance(parsed.rhs, promql_parser.NumberLiteral)
    assert parsed.rhs.val in LATENCY_BUCKETS_S


def test_the_alert_waits_and_names_its_service() -> None:
    (group,) = monitoring.rule_groups()
    rule = group["rules"][0]

    assert rule["for"] == "5s"
    assert rule["labels"] == {"service": "storefront", "severity": "page"}
    assert "{{ $value | humanizeDuration }}" in rule["annotations"]["description"]


def test_prometheus_keeps_the_service_that_a_metric_names_itself() -> None:
    (job,) = monitoring.scrape_configs({"orders": "127.0.0.1:1"})

    assert job["honor_labels"] is True
    assert job["static_configs"] == [{"targets": ["127.0.0.1:1"], "labels": {"service": "orders"}}]


def test_alertmanager_sends_with_a_token_from_a_file_and_says_when_it_is_over() -> None:
    config = monitoring.alertmanager_config("http://127.0.0.1:1/webhooks/alertmanager", "/run/token")
    (receiver,) = config["receivers"]
    (hook,) = receiver["webhook_configs"]

    assert config["route"]["receiver"] == receiver["name"]
    assert hook["send_resolved"] is True
    assert hook["http_config"]["authorization"] == {"type": "Bearer", "credentials_file": "/run/token"}


def test_stanch_accepts_the_sections_and_reaches_the_database_from_the_alert() -> None:
    targets = {"orders-db": {"mode": "act", "selector": monitoring.target_labels()}}
    configuration = Configuration.model_validate(monitoring.stanch_sections() | {"targets": targets})
    traffic = configuration.traffic()

    assert configuration.target_for({"service": "storefront"}) == "orders-db"
    assert traffic is not None
    assert traffic.name == "requests_per_second"


@pytest.mark.parametrize("rule", monitoring.RULES, ids=lambda rule: rule.alert)
def test_every_alert_compares_a_signal_that_can_be_followed_with_a_number(rule: monitoring.Rule) -> None:
    signal = signal_of(rule.expression)

    assert signal is not None
    assert signal.comparison == ">"
    assert promql_parser.parse(signal.query) is not None


@pytest.mark.parametrize("rule", monitoring.RULES, ids=lambda rule: rule.alert)
def test_every_alert_is_of_a_component_and_shows_its_value(rule: monitoring.Rule) -> None:
    configured = rule.configured()

    assert rule.service in {service for edge in monitoring.SERVICE_GRAPH for service in edge}
    assert "{{ $value | humanize" in configured["annotations"]["description"]
    assert "{value}" not in configured["annotations"]["description"]


def test_the_storefront_tells_first_what_others_would_tell_as_well() -> None:
    """Two alerts of one cause are one incident, and the first of them opens it."""
    storefront = monitoring.RULES[0]

    assert storefront.alert == monitoring.ALERT
    callees = {"orders", "catalog", "orders-db"}
    assert all(rule.for_s > storefront.for_s for rule in monitoring.RULES if rule.service in callees)
