"""The real application on a real store, asked over ASGI; its loops do not run."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from pydantic import SecretStr

from service.app import build_context, create
from service.identity import new_token, token_hash
from service.settings import Settings
from tests.connectors.store.database import API
from tests.service.incident_world import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from service.context import Context
    from tests.connectors.store.database import Database

HOOK_TOKENS = ("old-hook-token", "new-hook-token")
BEARER = {"Authorization": f"Bearer {HOOK_TOKENS[1]}"}
ROLES = {
    "ada@example.com": ["approver"],
    "bob@example.com": ["approver"],
    "rhea@example.com": ["responder"],
    "vic@example.com": ["viewer"],
    "max@example.com": ["admin"],
}
CONFIGURATION = {
    "targets": {"shop": {"mode": "act", "environment": "production"}},
    "approvers": ["ada@example.com", "bob@example.com"],
}


@dataclass
class App:
    held: Context
    app: FastAPI
    tokens: dict[str, str]

    def ask(self, method: str, path: str, *, person: str | None = None, **arguments: Any) -> httpx.Response:
        """person: whose API token is sent. Errors inside the application are answers, as behind a real server."""
        headers = dict(arguments.pop("headers", {}))
        if person is not None:
            headers["Authorization"] = f"Bearer {self.tokens[person]}"
        return asyncio.run(self._ask(method, path, headers=headers, **arguments))

    async def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://stanch.test") as client:
            return await client.request(method, path, **arguments)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.held.ports.store.close()


def settings_of(place: Path, store_dsn: str, **changes: Any) -> tuple[Settings, dict[str, str]]:
    """Given by hand: the environment is not read for what is given."""
    tokens = {person: new_token() for person in ROLES}
    entries = [
        {"person": person, "roles": roles, "sha256": token_hash(tokens[person])} for person, roles in ROLES.items()
    ]
    (place / "tokens.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    (place / "stanch.yaml").write_text(yaml.safe_dump(CONFIGURATION), encoding="utf-8")
    known: dict[str, Any] = {
        "store_dsn": SecretStr(store_dsn),
        "broker_url": SecretStr("memory://"),
        "config": place / "stanch.yaml",
        "alertmanager_tokens": SecretStr(",".join(HOOK_TOKENS)),
        "signing_key": SecretStr(KEY.text()),
        "verify_keys": KEY.public_text(),
        "api_tokens_file": place / "tokens.yaml",
        "data_dir": place / "var",
    }
    return Settings(**known | changes), tokens


def app_on(database: Database | str, place: Path, **changes: Any) -> App:
    dsn = database if isinstance(database, str) else database.dsn(API)
    settings, tokens = settings_of(place, dsn, **changes)
    held = build_context(settings)
    return App(held, create(held), tokens)
