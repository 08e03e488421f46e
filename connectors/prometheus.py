"""Prometheus: ranges of samples as plain arrays, and the expression behind an alert."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from agent.ports import NoData, Rule, Series
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT_S = 10
MAX_POINTS = 2_000
"""Points asked of one series: what a page can draw and a ranking needs."""
MAX_SERIES = 2_000

_OUR_FAULT = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses that the same request would get again. The three left out say: later."""
_NOT_PROMETHEUS = "an answer that is not Prometheus's"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Queries through prometheus-api-client; arrays are built here, for its long data frames cost twice the time.

    url: may hold credentials, so it is shown nowhere.
    """

    client: PrometheusConnect = field(repr=False)
    url: str = field(repr=False)

    @classmethod
    def at(cls, url: str) -> Prometheus:
        """Raises ValueError for an address that is not http or https."""
        scheme = urlsplit(url).scheme
        if scheme not in {"http", "https"}:
            raise ValueError(f"PROMETHEUS_URL must start with http:// or https://, not {scheme[:20]!r}")
        url = url.rstrip("/")
        return cls(PrometheusConnect(url=url, timeout=TIMEOUT_S, retry=Retry(total=1, backoff_factor=0.2)), url)

    def query_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...] | NoData:
        """Series with a sample at each step from start to end, NaN where there is none.

        A range with more than MAX_POINTS steps gets a wider step. NoData: the query matched nothing. Raises
        Unreachable, permanent when Prometheus calls the query wrong.
        """
        span_s = max((end - start).total_seconds(), step_s)
        step_s = max(step_s, math.ceil(span_s / MAX_POINTS))
        # Plain seconds: Prometheus reads "2.5", but not "2.5s".
        answer = self._ask("custom_query_range", query=query, start_time=start, end_time=end, step=f"{step_s:.3f}")
        if not answer:
            return NoData(query, f"{start.isoformat()} to {end.isoformat()}")
        if len(answer) > MAX_SERIES:
            too_many = f"{len(answer)} series for one query, more than {MAX_SERIES}"
            raise Unreachable("prometheus", too_many, permanent=True)
        times = round(start.timestamp()) + np.arange(math.floor(span_s / step_s) + 1) * step_s
        with _reading():
            return tuple(_series(row, times, step_s) for row in answer)

    def rule(self, alertname: str, labels: Mapping[str, str]) -> Rule | None:
        """The alerting rule with this name whose own labels agree with the alert's; None when there is none, or when
        several agree that ask different things. An alert that came another way, from PagerDuty say, lacks the rule's
        labels: for it the only rule of the name that contradicts none of its labels counts.
        """
        data = self._get("/api/v1/rules?type=alert")
        with _reading():
            found = [rule for group in data["groups"] for rule in group["rules"] if rule["name"] == alertname]
            agreeing = [rule for rule in found if _agree(rule.get("labels") or {}, labels)]
            agreeing = agreeing or [rule for rule in found if not _contradict(rule.get("labels") or {}, labels)]
            if len({rule["query"] for rule in agreeing}) != 1:
                return None
            return Rule(alertname, str(agreeing[0]["query"]), float(agreeing[0].get("duration", 0)))

    def active_since(self, alertname: str, labels: Mapping[str, str]) -> datetime | None:
        """When the rule's condition became true for this alert, at the earliest; None when it is not active.

        Labels that only one side has do not count: Prometheus adds its external labels when it sends an alert.
        """
        data = self._get("/api/v1/alerts")
        with _reading():
            since = [
                datetime.fromisoformat(alert["activeAt"]).astimezone(UTC)
                for alert in data["alerts"]
                if alert["labels"].get("alertname") == alertname
                and all(labels.get(key, value) == value for key, value in alert["labels"].items())
            ]
        return min(since, default=None)

    def _ask(self, method: str, **arguments: Any) -> list[Any]:
        with _reading():
            try:
                rows = getattr(self.client, method)(**arguments)
            except PrometheusApiClientException as error:
                status = re.match(r"HTTP Status Code (\d{3})", str(error))
                permanent = status is not None and int(status[1]) in _OUR_FAULT
                raise Unreachable("prometheus", str(error)[:300], permanent=permanent) from error
        if rows is None:
            return []
        if not isinstance(rows, list):
            raise Unreachable("prometheus", f"{_NOT_PROMETHEUS}: the result is a {type(rows).__name__}")
        return rows

    def _get(self, path: str) -> dict[str, Any]:
        # prometheus-api-client has no call for rules and alerts; its session keeps the authentication in one place.
        with _reading():
            response = self.client._session.get(self.url + path, timeout=TIMEOUT_S)  # noqa: SLF001
            if response.status_code != requests.codes.ok:
                permanent = response.status_code in _OUR_FAULT
                raise Unreachable("prometheus", f"HTTP {response.status_code} for {path}", permanent=permanent)
            data: dict[str, Any] = response.json()["data"]
        return data


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever goes wrong with an answer becomes Unreachable, without the URL, whose credentials requests repeats."""
    try:
        yield
    except requests.JSONDecodeError as error:
        raise Unreachable("prometheus", f"{_NOT_PROMETHEUS}: no JSON") from error
    except requests.RequestException as error:
        raise Unreachable("prometheus", type(error).__name__) from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise Unreachable("prometheus", f"{_NOT_PROMETHEUS}: {type(error).__name__} {error}"[:300]) from error


def _agree(own: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """A rule's labels against its alert's. A template becomes a text that only Prometheus knows."""
    return all("{{" in value or labels.get(key) == value for key, value in own.items())


def _contradict(own: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return any("{{" not in value and labels.get(key, value) != value for key, value in own.items())


def _series(row: Mapping[str, Any], times: np.ndarray, step_s: float) -> Series:
    labels = {str(key): str(value) for key, value in row["metric"].items()}
    return Series(labels, times, _on_grid(times, step_s, row["values"]))


def _on_grid(times: np.ndarray, step_s: float, samples: Sequence[Sequence[Any]]) -> np.ndarray:
    values = np.full(times.shape, np.nan)
    if not samples:  # only native histograms, which we do not read
        return values
    pairs = np.array([(float(at), float(value)) for at, value in samples], dtype=float)
    position = np.rint((pairs[:, 0] - times[0]) / step_s)
    inside = (position >= 0) & (position < len(times))
    values[position[inside].astype(int)] = pairs[inside, 1]
    return values
