from __future__ import annotations

import pytest

from causal.kind import Kind, is_mean, kind_of


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("latency|Average", Kind.LATENCY),
        ("http_request_duration_seconds_p95", Kind.LATENCY),
        ("PodClientLatencyP99(s)", Kind.CLIENT_LATENCY),
        ("requests|Sum", Kind.TRAFFIC),
        ("PodWorkload(Ops)", Kind.TRAFFIC),
        ("error_rate", Kind.ERRORS),
        ("availability|Average", Kind.SUCCESS),
        ("NodeCpuUsageRate(%)", Kind.HOST),
        ("CpuUsageRate(%)", Kind.RESOURCE),
        ("NetworkTransmitBytes", Kind.RESOURCE),
        ("whatever", Kind.RESOURCE),
    ],
)
def test_the_words_of_a_metric_say_what_it_measures(metric: str, kind: Kind) -> None:
    assert kind_of(metric) is kind


def test_quantiles_are_no_means() -> None:
    assert is_mean("latency|Average")
    assert is_mean("request_duration_seconds_mean")
    assert not is_mean("latency|p99")
    assert not is_mean("lat_90")
