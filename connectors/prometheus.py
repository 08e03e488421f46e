"""Prometheus: ranges of samples as plain arrays, and the expression behind an alert."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    from collections.abc import Mapping, Sequence

TIMEOUT_S = 10
MAX_POINTS = 2_000
"""Points asked of one series: what a page can draw and a ranking needs."""
MAX_SERIES = 2_000

_FORBIDDEN = 403
_UNAUTHORISED = 401


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Queries through prometheus-api-client; arrays are built here, for its long data frames cost twice the time."""

    client: PrometheusConnect
    url: str

    @classmethod
    def at(cls, url: str) -> Prometheus:
        """Raises ValueError for an address that is not http or https."""
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"PROMETHEUS_URL must start with http:// or https://, not {url!r}")
        return cls(PrometheusConnect(url=url, timeout=TIMEOUT_S, retry=Retry(total=1, backoff_factor=0.2)), url)

    def query_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...] | NoData:
        """Series with a sample at each step from start to end, NaN where there is none.

        A range with more than MAX_POINTS steps gets a wider step. NoData: the query matched nothing. Raises
        Unreachable, permanent when Prometheus calls the query wrong.
        """
        span_s = max((end - start).total_seconds(), step_s)
        step_s = max(step_s, math.ceil(span_s / MAX_POINTS))
        answer = self._ask("custom_query_range", query=query, start_time=start, end_time=end, step=f"{step_s:g}s")
        if not answer:
            return NoData(query, f"{start.isoformat()} to {end.isoformat()}")
        if len(answer) > MAX_SERIES:
            too_many = f"{len(answer)} series for one query, more than {MAX_SERIES}"
            raise Unreachable("prometheus", too_many, permanent=True)
        times = round(start.timestamp()) + np.arange(math.floor(span_s / step_s) + 1) * step_s
        return tuple(Series(dict(row["metric"]), times, _on_grid(times, step_s, row["values"])) for row in answer)

    def rule(self, alertname: str, labels: Mapping[str, str]) -> Rule | None:
        """The alerting rule with this name whose own labels agree with the alert's; None when there is none."""
        groups = self._get("/api/v1/rules?type=alert")["groups"]
        found = [rule for group in groups for rule in group["rules"] if rule["name"] == alertname]
        agreeing = [r for r in found if all(labels.get(k) == v for k, v in r.get("labels", {}).items())]
        if len({rule["query"] for rule in agreeing}) != 1:
            return None
        return Rule(alertname, agreeing[0]["query"], float(agreeing[0].get("duration", 0.0)))

    def active_since(self, alertname: str, labels: Mapping[str, str]) -> datetime | None:
        """When the rule's condition became true for this alert; None when it is not active."""
        for alert in self._get("/api/v1/alerts")["alerts"]:
            own = alert["labels"]
            if own.get("alertname") == alertname and all(own.get(k) == v for k, v in labels.items()):
                return datetime.fromisoformat(alert["activeAt"]).astimezone(UTC)
        return None

    def _ask(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = getattr(self.client, method)(**arguments) or []
        except requests.RequestException as error:
            raise Unreachable("prometheus", _plain(error)) from error
        except PrometheusApiClientException as error:
            raise Unreachable("prometheus", str(error)[:300], permanent="HTTP Status Code 4" in str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable("prometheus", f"an answer that is not Prometheus's: {error}") from error
        if not isinstance(rows, list):
            raise Unreachable("prometheus", "an answer that is not Prometheus's")
        return rows

    def _get(self, path: str) -> dict[str, Any]:
        # prometheus-api-client has no call for rules and alerts; its session keeps the authentication in one place.
        try:
            response = self.client._session.get(self.url.rstrip("/") + path, timeout=TIMEOUT_S)  # noqa: SLF001
            if response.status_code != requests.codes.ok:
                permanent = response.status_code in {_UNAUTHORISED, _FORBIDDEN}
                raise Unreachable("prometheus", f"HTTP {response.status_code} for {path}", permanent=permanent)
            data: dict[str, Any] = response.json()["data"]
        except requests.RequestException as error:
            raise Unreachable("prometheus", _plain(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable("prometheus", f"an answer that is not Prometheus's: {error}") from error
        return data


def _on_grid(times: np.ndarray, step_s: float, samples: Sequence[Sequence[Any]]) -> np.ndarray:
    values = np.full(times.shape, np.nan)
    pairs = np.array([(float(at), float(value)) for at, value in samples], dtype=float)
    position = np.rint((pairs[:, 0] - times[0]) / step_s).astype(int)
    inside = (position >= 0) & (position < len(times))
    values[position[inside]] = pairs[inside, 1]
    return values


def _plain(error: requests.RequestException) -> str:
    """Without the URL's credentials, which requests likes to repeat."""
    return type(error).__name__
