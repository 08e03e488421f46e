"""Alertmanager's API v2: silences while a fix runs, and which alerts it still has.

Source: prometheus/alertmanager api/v2/openapi.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import orjson

from connectors.json_document import clean
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
CREATED_BY = "stanch"
NARROWING = ("service", "instance", "pod", "job", "namespace", "cluster")
"""Labels that narrow a silence beside the alert's name."""


@dataclass(frozen=True, slots=True)
class Matchers:
    """Label equals value, each of them; never a pattern."""

    labels: Mapping[str, str]

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Matchers | None:
        """For one alert. None: its labels are too few to silence it and nothing else."""
        chosen = {name: labels[name] for name in ("alertname", *NARROWING) if labels.get(name)}
        return cls(chosen) if "alertname" in chosen and len(chosen) > 1 else None

    def as_data(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in self.labels.items()
        ]


class Alertmanager:
    """url: from the settings only, never from an alert; it may hold credentials, so it is shown nowhere."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Raises ValueError for an address that is not http or https."""
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("ALERTMANAGER_URL must start with http:// or https://")
        self._http = httpx.Client(
            base_url=url.rstrip("/"), timeout=TIMEOUT_S, follow_redirects=False, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def version(self) -> str:
        """Raises Unreachable, as all of these do."""
        answer = self._ask("GET", "/api/v2/status")
        return clean(str(_at(answer, "versionInfo", "version") or "unknown"), 40)

    def silence(
        self, matchers: Matchers, starts_at: datetime, ends_at: datetime, comment: str, *, renewed: str | None = None
    ) -> str:
        """Its id. renewed: the silence to be made longer; Alertmanager may answer with another id for it."""
        wanted: dict[str, Any] = {
            "matchers": matchers.as_data(),
            "startsAt": starts_at.astimezone(UTC).isoformat(),
            "endsAt": ends_at.astimezone(UTC).isoformat(),
            "createdBy": CREATED_BY,
            "comment": comment,
        }
        if renewed is not None:
            wanted["id"] = renewed
        made = _at(self._ask("POST", "/api/v2/silences", json=wanted), "silenceID")
        if not isinstance(made, str) or not made:
            raise Unreachable("alertmanager", "a silence without an id")
        return made

    def silences_of(self, comment: str) -> Mapping[str, Mapping[str, str]]:
        """Ours that are still in force and carry this comment: id to its labels."""
        rows = self._ask("GET", "/api/v2/silences")
        found: dict[str, Mapping[str, str]] = {}
        for row in rows if isinstance(rows, list) else []:
            alive = _at(row, "status", "state") in {"active", "pending"}
            if alive and _at(row, "createdBy") == CREATED_BY and _at(row, "comment") == comment:
                found[str(row["id"])] = {str(one["name"]): str(one["value"]) for one in row.get("matchers", [])}
        return found

    def expire(self, silence_id: str) -> None:
        """Takes a silence away; one that is over or unknown already is as good."""
        if not all(char.isalnum() or char == "-" for char in silence_id):
            return
        self._ask("DELETE", f"/api/v2/silence/{silence_id}", gone_is_fine=True)

    def fingerprints(self, alertname: str) -> frozenset[str]:
        """Of the alerts of this name that it has, silenced ones too."""
        quoted = orjson.dumps(alertname).decode()
        rows = self._ask("GET", "/api/v2/alerts", params={"filter": f"alertname={quoted}"})
        return frozenset(str(_at(row, "fingerprint")) for row in rows if isinstance(rows, list))

    def _ask(self, method: str, path: str, *, gone_is_fine: bool = False, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unreachable("alertmanager", type(error).__name__) from error
        if gone_is_fine and _is_gone(response):
            return None
        if not response.is_success:
            permanent = response.is_redirect or response.is_client_error
            said = clean(response.text, 200)
            raise Unreachable("alertmanager", f"HTTP {response.status_code} for {path}: {said}", permanent=permanent)
        if len(response.content) > MAX_ANSWER_BYTES:
            raise Unreachable("alertmanager", "an answer that is too large", permanent=True)
        if not response.content:
            return None
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise Unreachable("alertmanager", f"no JSON for {path}") from error


def _is_gone(response: httpx.Response) -> bool:
    """Some versions answer 500 for a silence that is over or unknown, and say so in the text."""
    said = response.text[:500]
    over = response.is_server_error and ("expired" in said or "not found" in said)
    return over or response.status_code == httpx.codes.NOT_FOUND


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
