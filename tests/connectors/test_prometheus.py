"""Against a small HTTP server that answers what a test gives it."""

from __future__ import annotations

import json
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from agent.expression import signal_of
from agent.ports import Metrics, NoData, Rule, Series
from connectors.embedded.process import ProcessGroup, free_port
from connectors.embedded.prometheus import EmbeddedPrometheus
from connectors.memory import MemoryMetrics
from connectors.prometheus import MAX_POINTS, MAX_SERIES, Prometheus
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
T0 = START.timestamp()
MINUTE = timedelta(seconds=60)


class Door(BaseHTTPRequestHandler):
    """Answers every request alike and remembers it."""

    server: Fake

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.hang.is_set():
            self.server.over.wait(10)
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name it has in http.server
        pass


class Fake(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.status, self.body = 200, b"{}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hang, self.over = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, data: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps({"status": "success", "data": data}).encode()

    def says_matrix(self, *rows: tuple[dict[str, str], list[tuple[float, Any]]]) -> None:
        result = [{"metric": labels, "values": [list(pair) for pair in values]} for labels, values in rows]
        self.says({"resultType": "matrix", "result": result})

    def query(self) -> dict[str, str]:
        return {key: value[0] for key, value in parse_qs(urlsplit(self.asked[-1][0]).query).items()}


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def metrics(fake: Fake) -> Iterator[Prometheus]:
    found = Prometheus.at(fake.url)
    yield found
    found.client.close()


def minute(metrics: Metrics, step_s: float = 10) -> tuple[Series, ...]:
    answer = metrics.query_range("x", START, START + MINUTE, step_s)
    assert not isinstance(answer, NoData)
    return answer


# --- Ranges ------------------------------------------------------------------------------------------------------


def test_samples_lie_on_the_grid_and_gaps_are_nan(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(
        ({"service": "a"}, [(T0, "1"), (T0 + 10, "2"), (T0 + 60, "7.5")]),
        ({"service": "b"}, [(T0 + 30, "3")]),
    )
    first, second = minute(metrics)
    assert first.labels == {"service": "a"}
    assert (first.times - T0).tolist() == [0, 10, 20, 30, 40, 50, 60]
    nan = math.nan
    np.testing.assert_array_equal(first.values, [1, 2, nan, nan, nan, nan, 7.5])
    np.testing.assert_array_equal(second.values, [nan, nan, nan, 3, nan, nan, nan])
    assert fake.query() == {"query": "x", "start": f"{T0:.0f}", "end": f"{T0 + 60:.0f}", "step": "10.000"}


def test_samples_outside_the_range_are_left_out(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(({}, [(T0 - 10, "9"), (T0, "1"), (T0 + 70, "9")]))
    assert np.nansum(minute(metrics)[0].values) == 1


def test_prometheus_words_for_numbers_are_read(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(({}, [(T0, "NaN"), (T0 + 10, "+Inf"), (T0 + 20, "-Inf"), (T0 + 30, "1e-3")]))
    values = minute(metrics)[0].values
    assert math.isnan(values[0])
    assert values[1:4].tolist() == [math.inf, -math.inf, 0.001]


def test_fractions_of_a_second_are_asked_as_a_number(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(({}, [(T0, "1"), (T0 + 2.5, "2")]))
    found = minute(metrics, 2.5)[0]
    assert fake.query()["step"] == "2.500"
    assert found.values[:2].tolist() == [1, 2]


def test_nothing_matched_is_no_data_and_not_zero(fake: Fake, metrics: Prometheus) -> None:
    for data in ({"resultType": "matrix", "result": []}, {"resultType": "matrix", "result": None}):
        fake.says(data)
        answer = metrics.query_range("x", START, START + MINUTE, 10)
        assert answer == NoData("x", "2026-11-21T12:00:00+00:00 to 2026-11-21T12:01:00+00:00")


def test_a_long_range_gets_a_wider_step(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(({}, [(T0, "1")]))
    answer = metrics.query_range("x", START, START + timedelta(days=7), 5)
    assert not isinstance(answer, NoData)
    assert len(answer[0].times) <= MAX_POINTS + 1
    assert float(fake.query()["step"]) == answer[0].times[1] - answer[0].times[0] == 303


def test_an_empty_range_is_one_step_long(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(({}, [(T0, "1")]))
    answer = metrics.query_range("x", START, START, 5)
    assert not isinstance(answer, NoData)
    assert answer[0].times.tolist() == [T0, T0 + 5]


def test_native_histograms_are_series_without_samples(fake: Fake, metrics: Prometheus) -> None:
    fake.says({"resultType": "matrix", "result": [{"metric": {}, "values": []}]})
    assert np.isnan(minute(metrics)[0].values).all()


def test_too_many_series_are_refused_for_good(fake: Fake, metrics: Prometheus) -> None:
    fake.says_matrix(*[({}, [(T0, "1")])] * (MAX_SERIES + 1))
    with pytest.raises(Unreachable, match="2001 series") as refused:
        minute(metrics)
    assert refused.value.permanent


# --- Answers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {"result": {}}}',
        b'{"data": {"result": "none"}}',
        b'{"data": {"result": 7}}',
        b'{"data": {"result": [7]}}',
        b'{"data": {"result": [{}]}}',
        b'{"data": {"result": [{"metric": [], "values": [[1, "1"]]}]}}',
        b'{"data": {"result": [{"metric": {}}]}}',
        b'{"data": {"result": [{"metric": {}, "values": 7}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [7]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[1]]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[1, "much"]]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[1, null]]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[null, "1"]]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[1, "1", "1"]]}]}}',
    ],
)
def test_a_200_that_is_not_prometheus_is_unreachable(fake: Fake, metrics: Prometheus, body: bytes) -> None:
    fake.body = body
    with pytest.raises(Unreachable, match="not Prometheus's") as refused:
        minute(metrics)
    assert not refused.value.permanent


@pytest.mark.parametrize("body", [b"<html>", b"null", b"{}", b'{"data": 7}', b'{"data": {}}', b'{"data": null}'])
def test_rules_and_alerts_of_another_shape_are_unreachable(fake: Fake, metrics: Prometheus, body: bytes) -> None:
    fake.body = body
    for ask in (metrics.rule, metrics.active_since):
        with pytest.raises(Unreachable, match="not Prometheus's"):
            ask("Slow", {})


@pytest.mark.parametrize(
    "data",
    [
        {"groups": 7},
        {"groups": [{"rules": [{"query": "x"}]}]},
        {"groups": [{"rules": [{"name": "Slow"}]}]},
        {"groups": [{"rules": [{"name": "Slow", "query": "x", "duration": "soon"}]}]},
        {"groups": [{"rules": [{"name": "Slow", "query": "x", "labels": 7}]}]},
        {"alerts": [7]},
        {"alerts": [{"labels": {"alertname": "Slow"}}]},
        {"alerts": [{"labels": {"alertname": "Slow"}, "activeAt": "soon"}]},
    ],
)
def test_a_rule_or_an_alert_of_another_shape_is_unreachable(
    fake: Fake, metrics: Prometheus, data: dict[str, Any]
) -> None:
    fake.says(data)
    with pytest.raises(Unreachable, match="not Prometheus's"):
        (metrics.rule if "groups" in data else metrics.active_since)("Slow", {})


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, True), (403, True), (404, True), (422, True), (408, False), (429, False), (500, False),
     (502, False), (503, False)],
)  # fmt: skip
def test_only_a_request_that_can_never_be_answered_is_permanent(
    fake: Fake, metrics: Prometheus, status: int, permanent: bool
) -> None:
    fake.says({}, status)
    with pytest.raises(Unreachable, match=str(status)) as refused:
        minute(metrics)
    assert refused.value.permanent is permanent
    with pytest.raises(Unreachable, match=str(status)) as refused:
        metrics.rule("Slow", {})
    assert refused.value.permanent is permanent


def test_a_server_error_that_quotes_another_status_is_not_permanent(fake: Fake, metrics: Prometheus) -> None:
    fake.status, fake.body = 500, b"upstream said HTTP Status Code 400"
    with pytest.raises(Unreachable) as refused:
        minute(metrics)
    assert not refused.value.permanent


def test_a_server_that_does_not_answer_is_unreachable_for_now(fake: Fake) -> None:
    fake.hang.set()
    impatient = Prometheus(PrometheusConnect(url=fake.url, timeout=0.2, retry=Retry(0)), fake.url)
    with pytest.raises(Unreachable) as refused:
        minute(impatient)
    assert not refused.value.permanent
    impatient.client.close()


# --- The address -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["ftp://ada:hunter2@host", "ada:hunter2@host", "", "file:///etc/passwd"])
def test_an_address_that_is_no_http_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="must start with http://") as refused:
        Prometheus.at(url)
    assert "hunter2" not in str(refused.value)


def test_credentials_of_the_address_are_used_and_never_shown(fake: Fake) -> None:
    metrics = Prometheus.at(fake.url.replace("//", "//ada:hunter2@"))
    shown = [repr(metrics)]
    for status, body in ((200, b"<html>"), (403, b"no"), (500, b"no")):
        fake.status, fake.body = status, body
        for ask in (lambda: minute(metrics), lambda: metrics.rule("x", {}), lambda: metrics.active_since("x", {})):
            with pytest.raises(Unreachable) as refused:
                ask()
            shown.append(str(refused.value))
    assert all("Authorization" in headers for _, headers in fake.asked)
    metrics.client.close()
    fake.server_close()
    nobody = Prometheus(PrometheusConnect(url=metrics.url, timeout=1, retry=Retry(0)), metrics.url)
    with pytest.raises(Unreachable) as refused:
        minute(nobody)
    shown.append(str(refused.value))
    nobody.client.close()
    assert not [text for text in shown if "hunter2" in text]


def test_a_trailing_slash_and_a_path_are_kept_apart(fake: Fake) -> None:
    metrics = Prometheus.at(fake.url + "/prometheus/")
    fake.says_matrix(({}, [(T0, "1")]))
    minute(metrics)
    fake.says({"groups": [], "alerts": []})
    metrics.rule("x", {})
    metrics.active_since("x", {})
    paths = [urlsplit(path).path for path, _ in fake.asked]
    assert paths == [f"/prometheus/api/v1/{name}" for name in ("query_range", "rules", "alerts")]
    metrics.client.close()


# --- Rules and alerts --------------------------------------------------------------------------------------------


def rule_row(query: str, name: str = "Slow", **labels: str) -> dict[str, Any]:
    return {"name": name, "query": query, "duration": 30, "labels": labels, "type": "alerting"}


@pytest.mark.parametrize(
    ("rows", "labels", "query"),
    [
        ([rule_row("x > 1")], {}, "x > 1"),
        ([rule_row("x > 1", severity="page"), rule_row("x > 2", severity="warn")], {"severity": "warn"}, "x > 2"),
        ([rule_row("x > 1", severity="page")], {"severity": "warn"}, None),
        ([rule_row("x > 1", severity="page")], {}, "x > 1"),
        ([rule_row("x > 1", severity="page"), rule_row("x > 2", severity="warn")], {}, None),
        ([rule_row("x > 1", severity="page", team="a")], {"team": "b"}, None),
        ([rule_row("x > 1", severity="{{ $value }}", team="a")], {"severity": "3", "team": "a"}, "x > 1"),
        ([rule_row("x > 1"), rule_row("x > 2")], {}, None),
        ([rule_row("x > 1"), rule_row("x > 1")], {}, "x > 1"),
        ([rule_row("x > 1", name="Other")], {}, None),
        ([], {}, None),
    ],
)
def test_the_rule_behind_an_alert_is_the_one_whose_labels_agree(
    fake: Fake, metrics: Prometheus, rows: list[dict[str, Any]], labels: dict[str, str], query: str | None
) -> None:
    fake.says({"groups": [{"rules": rows[:1]}, {"rules": rows[1:]}]})
    alert = {"alertname": "Slow", "instance": "a", **labels}
    assert metrics.rule("Slow", alert) == (None if query is None else Rule("Slow", query, 30.0))
    assert fake.asked[-1][0] == "/api/v1/rules?type=alert"


def alert_row(at: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": "Slow", **labels}, "activeAt": at, "state": "firing", "value": "1"}


@pytest.mark.parametrize(
    ("rows", "labels", "second"),
    [
        ([alert_row("2026-11-21T12:00:07.123456789Z", pod="a")], {"pod": "a"}, 7),
        ([alert_row("2026-11-21T13:00:07+01:00", pod="a")], {"pod": "a"}, 7),
        ([alert_row("2026-11-21T12:00:07Z", pod="a")], {"pod": "b"}, None),
        ([alert_row("2026-11-21T12:00:07Z", pod="a")], {"pod": "a", "cluster": "added when sent"}, 7),
        (
            [alert_row("2026-11-21T12:00:09Z", pod="a"), alert_row("2026-11-21T12:00:07Z", pod="b")],
            {"pod": "a"},
            9,
        ),
        ([alert_row("2026-11-21T12:00:09Z", pod="a"), alert_row("2026-11-21T12:00:07Z", pod="b")], {}, 7),
        ([], {}, None),
    ],
)
def test_an_alert_is_active_since_its_condition_held(
    fake: Fake, metrics: Prometheus, rows: list[dict[str, Any]], labels: dict[str, str], second: int | None
) -> None:
    fake.says({"alerts": [*rows, {**alert_row("2026-11-21T11:00:00Z"), "labels": {"alertname": "Other"}}]})
    since = metrics.active_since("Slow", {"alertname": "Slow", **labels})
    assert (None if since is None else since.replace(microsecond=0)) == (
        None if second is None else START + timedelta(seconds=second)
    )


# --- The fake of the port ----------------------------------------------------------------------------------------


def test_the_fake_and_the_real_one_answer_a_range_alike(fake: Fake, metrics: Prometheus) -> None:
    def curve(at: float) -> float:
        return math.nan if at == T0 + 20 else at - T0

    fake.says_matrix(({"a": "b"}, [(T0 + s, str(s)) for s in (0, 10, 30, 40, 50, 60)]))
    memory = MemoryMetrics({"x": [({"a": "b"}, curve), ({"a": "c"}, lambda _: math.nan)]})
    real, remembered = minute(metrics), minute(memory)
    assert len(real) == len(remembered) == 1
    assert real[0].labels == remembered[0].labels
    np.testing.assert_array_equal(real[0].times, remembered[0].times)
    np.testing.assert_array_equal(real[0].values, remembered[0].values)
    assert memory.asked == ["x"]
    fake.says_matrix()
    asked = ("y", START, START + MINUTE, 10.0)
    assert metrics.query_range(*asked) == memory.query_range(*asked)


def test_the_fake_knows_rules_and_alerts_by_name_or_is_away() -> None:
    rule = Rule("Slow", "x > 1", 30.0)
    memory: Metrics = MemoryMetrics(rules={"Slow": rule}, active={"Slow": START})
    assert (memory.rule("Slow", {}), memory.rule("Other", {})) == (rule, None)
    assert (memory.active_since("Slow", {}), memory.active_since("Other", {})) == (START, None)
    away = MemoryMetrics(unreachable=Unreachable("prometheus", "away"))
    for ask in (lambda: minute(away), lambda: away.rule("Slow", {}), lambda: away.active_since("Slow", {})):
        with pytest.raises(Unreachable):
            ask()


# --- The real one ------------------------------------------------------------------------------------------------

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def within(seconds: float, ask: Callable[[], Any]) -> Any:
    """The first answer that is not None."""
    until = time.monotonic() + seconds
    while (answer := ask()) is None and time.monotonic() < until:
        time.sleep(0.2)
    return answer


@pytest.mark.integration
def test_a_real_prometheus_is_asked_for_its_rule_its_alert_and_its_samples(tmp_path: Path) -> None:
    port = free_port()
    alert = {"alert": "ItScrapes", "expr": r'up{job=~"it\\w+", job!="a\"b"} == 1', "labels": {"severity": "page"}}
    with ProcessGroup(tmp_path / "run", lambda _: None) as group:
        server = EmbeddedPrometheus(
            group,
            "prometheus",
            tmp_path / "prometheus",
            log_path=tmp_path / "prometheus.log",
            cache_dir=CACHE,
            progress=lambda _: None,
            scrape_configs=[{"job_name": "itself", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            rule_groups=[{"name": "rules", "rules": [alert]}],
            alertmanagers=[],
            global_config={"scrape_interval": "1s", "evaluation_interval": "1s"},
            port=port,
        )
        server.start()
        metrics = Prometheus.at(f"http://127.0.0.1:{port}/")
        labels = {"alertname": "ItScrapes", "severity": "page", "job": "itself", "cluster": "added when sent"}
        since = within(60, lambda: metrics.active_since("ItScrapes", labels))
        assert since is not None
        rule = metrics.rule("ItScrapes", labels)
        assert rule is not None
        signal = signal_of(rule.expr)
        assert signal is not None
        found = metrics.query_range(signal.query, since, since + timedelta(seconds=10), 2.5)
        assert not isinstance(found, NoData)
        assert found[0].labels["job"] == "itself"
        assert len(found[0].values) == 5
        assert 1 in found[0].values
        assert isinstance(metrics.query_range("nothing_has_this_name", since, since + MINUTE, 5), NoData)
        with pytest.raises(Unreachable, match="parse error") as refused:
            metrics.query_range("sum(", since, since + MINUTE, 5)
        assert refused.value.permanent
        metrics.client.close()
