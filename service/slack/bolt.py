"""slack-bolt between the wire and clicks.py: HTTP and Socket Mode end in the same handlers, each acknowledged first."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from connectors.slack import messages
from service.slack import payloads
from service.slack.payloads import Commanded, NotOurs, Pressed, Submitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slack_bolt.response import BoltResponse
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

    from service.slack.clicks import Clicks

log = structlog.get_logger()

REQUEST_HEADER = "x-stanch-request"
"""Our own name for a request on its way through the library; what a sender puts there is overwritten."""
DECIDES = ("rem_approve", "rem_refresh", "rem_test")
ONLY_LINKS = ("rem_open", "rem_pm")
"""Buttons with an address: the client opens it, and still wants an acknowledgement."""
WORKERS, QUICK = 8, 4
RECONNECT_S = (1.0, 5.0, 15.0, 60.0)


class _OneLine(logging.Filter):
    """The library logs a traceback every ten seconds while Slack is away; a line says as much."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().partition("\n")[0][:300], ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def _logger() -> logging.Logger:
    found = logging.getLogger("stanch.slack")
    if not any(isinstance(one, _OneLine) for one in found.filters):
        found.addFilter(_OneLine())
    return found


class Bolt:
    """Two pools: what waits for the store must not hold up a modal, whose trigger lives for three seconds."""

    def __init__(self, clicks: Clicks, *, token: str, api_url: str, signing_secret: str | None) -> None:
        self._clicks = clicks
        self._work = ThreadPoolExecutor(WORKERS, thread_name_prefix="slack")
        self._quick = ThreadPoolExecutor(QUICK, thread_name_prefix="slack-quick")
        logger = _logger()
        client = AsyncWebClient(base_url=api_url, logger=logger)

        async def authorize() -> AuthorizeResult:
            """Asks nobody: an acknowledgement waits for no call of ours. Whose click it is, is asked afterwards."""
            return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token)

        # Requests over HTTP come through connectors.slack.guard, which is stricter than the library's own check and
        # has the raw bytes; over a socket there is no signature.
        self.app = AsyncApp(
            name="stanch", logger=logger, signing_secret=signing_secret or "unused", client=client,
            authorize=authorize, request_verification_enabled=False, ssl_check_enabled=False,
        )  # fmt: skip
        self._listen()

    async def take(self, request: str, body: str, content_type: str) -> BoltResponse:
        """One genuine request. request: its key."""
        headers: dict[str, str | Sequence[str]] = {"content-type": [content_type], REQUEST_HEADER: [request]}
        return await self.app.async_dispatch(AsyncBoltRequest(body=body, headers=headers))

    def close(self) -> None:
        self._work.shutdown(wait=False, cancel_futures=True)
        self._quick.shutdown(wait=False, cancel_futures=True)

    # --- Listeners ---------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for action in DECIDES:
            self.app.action(action)(self._pressed)
        for action in ONLY_LINKS:
            self.app.action(action)(_only_acknowledged)
        self.app.action("rem_deny")(self._deny)
        self.app.action("rem_edit")(self._edit)
        self.app.view("rem_deny_submit")(self._denied)
        self.app.view("rem_edit_submit")(self._edited)
        self.app.command("/stanch")(self._commanded)

    async def _pressed(self, ack: Any, body: dict[str, Any], request: AsyncBoltRequest) -> None:
        await ack()
        sent = _shaped(Pressed, body)
        if sent is not None:
            self._submit(self._work, self._clicks.pressed, _key(request), sent)

    async def _deny(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        sent = _shaped(Pressed, body)
        if sent is not None:
            self._submit(self._quick, self._clicks.open_deny, sent)

    async def _edit(self, ack: Any, body: dict[str, Any], request: AsyncBoltRequest) -> None:
        await ack()
        sent, key = _shaped(Pressed, body), _key(request)
        if sent is None:
            return

        def opened() -> None:
            view_id = self._clicks.open_edit(sent)
            if view_id:
                self._submit(self._work, self._clicks.fill_edit, key, sent, view_id)

        self._submit(self._quick, opened)

    async def _denied(self, ack: Any, body: dict[str, Any], request: AsyncBoltRequest) -> None:
        sent = _shaped(Submitted, body)
        if sent is None or not sent.text("why", "code"):
            await ack(response_action="errors", errors={"why": "Say why."})
            return
        await ack()
        self._submit(self._work, self._clicks.denied, _key(request), sent)

    async def _edited(self, ack: Any, body: dict[str, Any], request: AsyncBoltRequest) -> None:
        sent = _shaped(Submitted, body)
        if sent is None:
            await ack()
            return
        await ack(response_action="update", view=messages.told_modal("Being checked…"))
        self._submit(self._work, self._clicks.edited, _key(request), sent)

    async def _commanded(self, ack: Any, body: dict[str, Any], request: AsyncBoltRequest) -> None:
        await ack()
        sent = _shaped(Commanded, body)
        if sent is not None:
            self._submit(self._work, self._clicks.commanded, _key(request), sent)

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *arguments: object) -> None:
        try:
            pool.submit(work, *arguments)
        except RuntimeError:  # the process is going down; nothing was recorded and nothing said so
            log.warning("slack request came while stopping")


async def _only_acknowledged(ack: Any) -> None:
    await ack()


def _shaped(kind: type[Any], body: dict[str, Any]) -> Any:
    try:
        return payloads.read(kind, body)
    except NotOurs as error:
        log.warning("slack sent what we do not understand", what=str(error))
        return None


def _key(request: AsyncBoltRequest) -> str:
    return str((request.headers.get(REQUEST_HEADER) or [""])[0])


# --- Socket Mode -------------------------------------------------------------------------------------------------


class _Handler(AsyncSocketModeHandler):
    """Names each envelope, so that one delivered twice is taken once."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        from slack_bolt.adapter.socket_mode.async_internals import send_async_response  # noqa: PLC0415 only here

        headers: dict[str, str | Sequence[str]] = {REQUEST_HEADER: [f"envelope:{req.envelope_id[:200]}"]}
        bolt_request = AsyncBoltRequest(mode="socket_mode", body=req.payload, headers=headers)
        response: BoltResponse = await self.app.async_dispatch(bolt_request)
        await send_async_response(client, req, response, asyncio.get_running_loop().time())


async def run_socket(bolt: Bolt, app_token: str) -> None:
    """Until cancelled. The client reconnects by itself once it was connected; getting there is ours."""
    tries = 0
    while True:
        handler = _Handler(bolt.app, app_token, logger=_logger(), web_client=_like(bolt))
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]  # the library's own
            log.info("slack socket is open")
            await asyncio.Event().wait()
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError) as error:
            wait_s = RECONNECT_S[min(tries, len(RECONNECT_S) - 1)]
            tries += 1
            log.warning("slack socket does not open", error=type(error).__name__, again_in_s=wait_s)
            await asyncio.sleep(wait_s)
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]  # the library's own


def _like(bolt: Bolt) -> AsyncWebClient:
    client = bolt.app.client
    return AsyncWebClient(base_url=client.base_url, logger=_logger())
