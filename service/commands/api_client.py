"""The command line's way to the API: with a token that belongs to a person."""

from __future__ import annotations

import json
from typing import Any

import httpx

from service.commands.failures import CommandFailed
from service.settings import Settings, load

LOCAL = "cli.json"
"""Written by `stanch dev` and `stanch demo` into the data folder, for the owner's eyes only: {"url", "token"}."""
TIMEOUT_S = 10.0


class ApiClient:
    """Raises CommandFailed with what to do about it."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or load()
        url, token = settings.public_url, settings.api_token.get_secret_value() if settings.api_token else ""
        local = settings.data_dir / LOCAL
        if not token and local.is_file():
            known = json.loads(local.read_text(encoding="utf-8"))
            url, token = known["url"], known["token"]
        if not token:
            raise CommandFailed(
                "no API token: set STANCH_API_TOKEN and STANCH_PUBLIC_URL, or run this where `stanch demo` runs"
            )
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S, trust_env=False
        )

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._answer("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._answer("POST", path, json=body or {})

    def _answer(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **arguments)
            document: dict[str, Any] = response.json()
        except httpx.HTTPError as error:
            raise CommandFailed(f"{self.url} does not answer: {str(error) or type(error).__name__}") from error
        except ValueError as error:
            raise CommandFailed(f"{self.url}{path} answered something that is not JSON") from error
        if response.is_error:
            raise CommandFailed(_words(response.status_code, document))
        return document


def _words(code: int, document: dict[str, Any]) -> str:
    detail = document.get("detail", "")
    if isinstance(detail, list):
        detail = "; ".join(f"{'.'.join(map(str, one.get('loc', [])))}: {one.get('msg', '')}" for one in detail)
    current = document.get("current")
    return f"{detail} (HTTP {code})" + (f"; now: {json.dumps(current)}" if current else "")
