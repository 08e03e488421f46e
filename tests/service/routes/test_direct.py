"""What the hooks answer in front of the framework is what they answer behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.app import HEADERS
from service.routes.webhooks.direct import GENERIC, HOOKS, Direct

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from tests.service.app_world import App

HOOK = "/webhooks/alertmanager"


class Behind:
    """The application behind: only notes what reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI's signature
        self.reached.append(f"{scope['method']} {scope['path']}")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def status_of(app: App, behind: Behind, method: str, path: str) -> int:
    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "client": ("192.0.2.1", 1),
        "app": app.app,
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Direct(behind, HEADERS)(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.integration
@pytest.mark.parametrize("path", [*HOOKS, f"{GENERIC}disks"])
def test_a_post_at_a_hook_never_reaches_the_framework(app: App, path: str) -> None:
    behind = Behind()
    assert status_of(app, behind, "POST", path) in {401, 404}
    assert behind.reached == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", HOOK),
        ("OPTIONS", HOOK),
        ("POST", f"{HOOK}/"),
        ("POST", f"/{HOOK}"),
        ("POST", "/webhooks/Alertmanager"),
        ("POST", GENERIC),
        ("POST", f"{GENERIC}a/b"),
        ("POST", f"{GENERIC}{'a' * 41}"),
        ("POST", "/api/v1/pause"),
    ],
)
def test_everything_else_does(app: App, method: str, path: str) -> None:
    behind = Behind()
    assert status_of(app, behind, method, path) == 204
    assert behind.reached == [f"{method} {path}"]


@pytest.mark.integration
@pytest.mark.parametrize("path", [*HOOKS, f"{GENERIC}disks"])
def test_a_refusal_reads_the_same_before_and_behind_the_framework(app: App, path: str) -> None:
    direct = app.ask("POST", path, headers={"Authorization": "Bearer wrong"}, content=b"{}")
    routed = _under_a_prefix(app, path)
    assert (direct.status_code, direct.content) == (routed.status_code, routed.content)
    assert {name: value for name, value in direct.headers.items() if name != "content-length"} == {
        name: value for name, value in routed.headers.items() if name not in {"content-length", "vary"}
    }
    assert {name.lower() for name in HEADERS} <= set(direct.headers)


def _under_a_prefix(app: App, path: str) -> httpx.Response:
    """Behind a proxy that leaves its prefix in the path, the shortcut does not know the hook, and routing does."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app.app, root_path="/stanch", raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://stanch.test") as client:
            return await client.post(f"/stanch{path}", headers={"Authorization": "Bearer wrong"}, content=b"{}")

    return asyncio.run(ask())
