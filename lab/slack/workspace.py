"""One Slack workspace on a local port: Web API, files, Socket Mode, rate limits, outages, and people who click."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from lab.slack import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BOT_TOKEN = "xoxb-local-bot"  # noqa: S105 a token for a server on this machine
APP_TOKEN = "xapp-local-app"  # noqa: S105 the same
SIGNING_SECRET = "local-signing-secret"  # noqa: S105 the same
TEAM, CHANNEL, BOT = "T0LOCAL", "C0OPS", "U0BOT"
SCOPES = (
    "chat:write,commands,files:write,users:read,usergroups:read,channels:read,groups:read,"
    "channels:history,groups:history"
)
TRIGGER_S = 3.0
RESPONSES, RESPONSE_S = 5, 1800.0
UPDATES_PER_MIN = 50
LOOKS_PER_MIN = 50
MOST_PER_PAGE = 999
METADATA_BYTES = 16_000


@dataclass
class Posted:
    """A message as it stands. seen_by: set on an ephemeral one."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    seen_by: str | None = None
    broadcast: bool = False
    edits: int = 0
    metadata: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    user: str = BOT

    def seen(self, *, metadata: bool) -> dict[str, Any]:
        """As the history shows it."""
        one: dict[str, Any] = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text,
                               "blocks": self.blocks, "app_id": "A0LOCAL"}  # fmt: skip
        if self.thread_ts:
            one["thread_ts"] = self.thread_ts
        if self.files:
            one["files"] = self.files
        if metadata and self.metadata is not None:
            one["metadata"] = self.metadata
        return one

    def button(self, action_id: str) -> dict[str, Any] | None:
        elements = [part for one in self.blocks if one["type"] == "actions" for part in one["elements"]]
        return next((one for one in elements if one["action_id"] == action_id), None)


@dataclass
class Workspace:
    """Strict: what Slack would refuse is refused with Slack's word for it, in HTTP 200.

    limited: rate limits hold, by clock. patience: the clock by which a trigger is too old.
    """

    limited: bool = True
    clock: Callable[[], float] = time.monotonic
    patience: Callable[[], float] = time.monotonic
    messages: list[Posted] = field(default_factory=list)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[float, str, int, str]] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Method to the error it answers; `*` for all; `http 503` for a server that is down, `drop` for none at all;
    `lost` for one that does what it is asked and is not heard any more."""
    scopes: str = SCOPES
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    socket_answers: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _triggers: dict[str, float] = field(default_factory=dict)
    _responses: dict[str, list[float]] = field(default_factory=dict)
    _posts: dict[str, float] = field(default_factory=dict)
    _updates: list[float] = field(default_factory=list)
    _looks: dict[str, list[float]] = field(default_factory=dict)
    _uploads: dict[str, bytes] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- Running -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), name="slack workspace", daemon=True).start()
        ready.wait(20)

    def stop(self) -> None:
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.call_soon_threadsafe(loop.stop)

    def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        app = web.Application(client_max_size=20 * 1024 * 1024)
        app.router.add_post("/api/{method}", self._api)
        app.router.add_post("/upload/{id}", self._upload)
        app.router.add_post("/actions/{id}", self._response)
        app.router.add_get("/socket", self._socket)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def settings(self) -> dict[str, str]:
        """What a service needs to talk to this workspace, without STANCH_."""
        return {
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_SIGNING_SECRET": SIGNING_SECRET,
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": self.api_url,
        }

    # --- The Web API -------------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        given = await _arguments(request)
        broken = self.broken.get(method) or self.broken.get("*")
        if broken == "drop" and request.transport is not None:
            request.transport.abort()
            return web.Response(status=500)
        if broken and broken.startswith("http "):
            self._note(method, int(broken[5:]), broken, given)
            return web.Response(status=int(broken[5:]), text="upstream is away")
        with self._lock:
            wait_s = self._rate(method, given)
            if wait_s > 0:
                self._note(method, 429, "ratelimited", given)
                headers = {"Retry-After": str(max(1, round(wait_s + 0.49)))}
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
            done = not broken or broken == "lost"
            answer = self._answer(method, given, request) if done else {"ok": False, "error": broken}
        if broken == "lost" and request.transport is not None:
            request.transport.abort()
        self._note(method, 200, str(answer.get("error", "")), given)
        return web.json_response(answer, headers={"x-oauth-scopes": self.scopes})

    def _note(self, method: str, status: int, error: str, given: Mapping[str, Any]) -> None:
        del given
        self.calls.append((self.clock(), method, status, error))

    def _rate(self, method: str, given: Mapping[str, Any]) -> float:
        """One message a second and channel; chat.update is tier 3. A refused call counts for nothing."""
        now = self.clock()
        if not self.limited:
            return 0.0
        if method == "chat.postMessage":
            channel = str(given.get("channel"))
            wait_s = self._posts.get(channel, -1.0) + 0.95 - now  # clocks on both ends differ a little
            if wait_s <= 0:
                self._posts[channel] = now
            return wait_s
        if method == "chat.update":
            self._updates = [at for at in self._updates if at > now - 60]
            if len(self._updates) >= UPDATES_PER_MIN + 5:
                return self._updates[0] + 60 - now
            self._updates.append(now)
        if method in {"conversations.history", "conversations.replies"}:
            looks = [at for at in self._looks.get(method, []) if at > now - 60]
            self._looks[method] = looks
            if len(looks) >= LOOKS_PER_MIN:
                return looks[0] + 60 - now
            looks.append(now)
        return 0.0

    def _answer(self, method: str, given: dict[str, Any], request: web.Request) -> dict[str, Any]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or given.get("token", "")
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return {"ok": False, "error": "invalid_auth"}
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._ephemeral,
            "views.open": self._view_open,
            "views.update": self._view_update,
            "users.info": self._user,
            "usergroups.users.list": self._members,
            "conversations.info": self._channel,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._upload_done,
            "apps.connections.open": self._socket_url,
        }
        if method not in known:
            return {"ok": False, "error": "unknown_method"}
        return known[method](given)

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": "https://local.slack.com/", "team": "local", "team_id": TEAM, "user": "stanch",
                "user_id": BOT, "bot_id": "B0BOT"}  # fmt: skip

    def _post(self, given: dict[str, Any]) -> dict[str, Any]:
        wrong = self._message_wrong(given)
        if wrong:
            return {"ok": False, "error": wrong}
        metadata = _json(given.get("metadata"), None)
        wrong = _metadata_wrong(metadata)
        if wrong:
            return {"ok": False, "error": wrong}
        ts = self._ts()
        message = Posted(
            given["channel"], ts, given.get("text", ""), _json(given.get("blocks"), []), given.get("thread_ts"),
            broadcast=_true(given, "reply_broadcast"), metadata=metadata,
        )  # fmt: skip
        if message.thread_ts and not any(one.ts == message.thread_ts for one in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        self.messages.append(message)
        return {"ok": True, "channel": given["channel"], "ts": ts, "message": {"ts": ts}}

    def _ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"

    def _message_wrong(self, given: Mapping[str, Any]) -> str:
        if given.get("channel") != CHANNEL:
            return "channel_not_found"
        found = _json(given.get("blocks"), [])
        if not given.get("text") and not found:
            return "no_text"
        if len(given.get("text", "")) > blocks.TEXT_CHARS:
            return "msg_too_long"
        return blocks.of_message(found)

    def _update(self, given: dict[str, Any]) -> dict[str, Any]:
        message = next((one for one in self.messages if one.ts == given.get("ts") and one.seen_by is None), None)
        if message is None or message.channel != given.get("channel"):
            return {"ok": False, "error": "message_not_found"}
        wrong = self._message_wrong(given)
        if wrong:
            return {"ok": False, "error": wrong}
        message.text, message.blocks = given.get("text", ""), _json(given.get("blocks"), [])
        message.edits += 1
        return {"ok": True, "channel": message.channel, "ts": message.ts, "text": message.text}

    def _ephemeral(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("user") not in self.users:
            return {"ok": False, "error": "user_not_in_channel"}
        self._whispered(given["channel"], given["user"], given.get("text", ""))
        return {"ok": True, "message_ts": "1.1"}

    def _whispered(self, channel: str, user: str, text: str) -> None:
        self.messages.append(Posted(channel, f"e{next(self._numbers)}", text, [], seen_by=user))

    def _view_open(self, given: dict[str, Any]) -> dict[str, Any]:
        made = self._triggers.pop(str(given.get("trigger_id")), None)
        if made is None:
            return {"ok": False, "error": "exchanged_trigger_id"}
        if self.patience() - made > TRIGGER_S:
            return {"ok": False, "error": "expired_trigger_id"}
        view = _json(given.get("view"), {})
        wrong = blocks.of_view(view)
        if wrong:
            return {"ok": False, "error": wrong}
        view_id = f"V{next(self._numbers)}"
        self.views[view_id] = view
        return {"ok": True, "view": {**view, "id": view_id}}

    def _view_update(self, given: dict[str, Any]) -> dict[str, Any]:
        view = _json(given.get("view"), {})
        if given.get("view_id") not in self.views:
            return {"ok": False, "error": "not_found"}
        wrong = blocks.of_view(view)
        if wrong:
            return {"ok": False, "error": wrong}
        self.views[given["view_id"]] = view
        return {"ok": True, "view": {**view, "id": given["view_id"]}}

    def _user(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self.users.get(str(given.get("user")))
        return {"ok": True, "user": found} if found else {"ok": False, "error": "user_not_found"}

    def _members(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self.groups.get(str(given.get("usergroup")))
        return {"ok": False, "error": "no_such_subteam"} if found is None else {"ok": True, "users": found}

    def _channel(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        return {"ok": True, "channel": {"id": CHANNEL, "name": "ops", "is_member": True, "is_archived": False}}

    def _history(self, given: dict[str, Any]) -> dict[str, Any]:
        """Newest first. Replies stand in their thread; those sent to the channel too stand here as well."""
        found = [one for one in self.messages if one.seen_by is None and (one.thread_ts is None or one.broadcast)]
        return self._page(given, found[::-1])

    def _replies(self, given: dict[str, Any]) -> dict[str, Any]:
        """Oldest first, the thread's root before them."""
        root = given.get("ts")
        if not any(one.ts == root for one in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        said = [one for one in self.messages if one.seen_by is None and root in {one.ts, one.thread_ts}]
        shared = [
            Posted(
                CHANNEL, file["ts"], "", [], root, files=[{name: file.get(name) for name in ("id", "name", "title")}]
            )
            for file in self.files
            if file["thread_ts"] == root
        ]
        return self._page(given, sorted(said + shared, key=lambda one: float(one.ts)))

    def _page(self, given: dict[str, Any], found: list[Posted]) -> dict[str, Any]:
        if not {"channels:history", "groups:history"} & set(self.scopes.split(",")):
            return {"ok": False, "error": "missing_scope", "needed": "channels:history", "provided": self.scopes}
        if given.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        limit, first = str(given.get("limit", 100)), str(given.get("cursor") or "0")
        if not limit.isdigit() or not 1 <= int(limit) <= MOST_PER_PAGE:
            return {"ok": False, "error": "invalid_limit"}
        if not first.isdigit():
            return {"ok": False, "error": "invalid_cursor"}
        after = float(given.get("oldest") or 0)
        in_time = [one for one in found if float(one.ts) > after]
        page = in_time[int(first) : int(first) + int(limit)]
        more = len(in_time) > int(first) + int(limit)
        whole = _true(given, "include_all_metadata")
        return {
            "ok": True, "messages": [one.seen(metadata=whole) for one in page], "has_more": more,
            "response_metadata": {"next_cursor": str(int(first) + int(limit)) if more else ""},
        }  # fmt: skip

    def _upload_url(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("filename") or not str(given.get("length", "")).isdigit():
            return {"ok": False, "error": "invalid_arguments"}
        file_id = f"F{next(self._numbers)}"
        self._uploads[file_id] = b""
        self._names[file_id] = str(given["filename"])
        return {"ok": True, "upload_url": f"{self.url}/upload/{file_id}", "file_id": file_id}

    async def _upload(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self._uploads:
            return web.Response(status=404)
        self._uploads[request.match_info["id"]] = await request.read()
        return web.Response(text="OK")

    def _upload_done(self, given: dict[str, Any]) -> dict[str, Any]:
        for one in _json(given.get("files"), []):
            content = self._uploads.get(one["id"])
            if not content:
                return {"ok": False, "error": "file_not_found"}
            name = self._names[one["id"]]
            self.files.append(
                {**one, "name": name, "content": content, "thread_ts": given.get("thread_ts"), "ts": self._ts()}
            )
        return {"ok": True, "files": []}

    async def _response(self, request: web.Request) -> web.Response:
        """A response_url: five uses in half an hour."""
        uses = self._responses.get(request.match_info["id"])
        if uses is None or len(uses) > RESPONSES or self.patience() - uses[0] > RESPONSE_S:
            return web.Response(status=404, text="used_url")
        uses.append(self.patience())
        given = await request.json()
        channel, _, user = request.match_info["id"].partition("-")
        self._whispered(channel, user.partition("-")[0], given.get("text", ""))
        return web.Response(text="ok")

    # --- Socket Mode -------------------------------------------------------------------------------------------

    def _socket_url(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": f"{self.url.replace('http', 'ws', 1)}/socket?ticket=1"}

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.socket_answers.append(json.loads(message.data))
        self.sockets.remove(socket)
        return socket

    def send(self, kind: str, payload: Mapping[str, Any], envelope_id: str | None = None) -> str:
        """An envelope over the newest socket. Returns its id."""
        number = envelope_id or f"envelope-{next(self._numbers)}"
        envelope = {"type": kind, "envelope_id": number, "payload": payload, "accepts_response_payload": True}
        if self._loop is None:
            raise RuntimeError("not started")
        asyncio.run_coroutine_threadsafe(self.sockets[-1].send_json(envelope), self._loop).result(5)
        return number

    # --- People ------------------------------------------------------------------------------------------------

    def add(self, user_id: str, **marks: Any) -> str:
        """A full member, unless marks say otherwise."""
        self.users[user_id] = {
            "id": user_id, "team_id": TEAM, "deleted": False, "is_bot": False, "is_restricted": False,
            "is_ultra_restricted": False, **marks,
        }  # fmt: skip
        return user_id

    def trigger(self) -> str:
        made = f"trigger.{next(self._numbers)}"
        self._triggers[made] = self.patience()
        return made

    def response_url(self, channel: str, user: str) -> str:
        made = f"{channel}-{user}-{next(self._numbers)}"
        self._responses[made] = [self.patience()]
        return f"{self.url}/actions/{made}"

    def press(self, message: Posted, action_id: str, user: str, *, team: str = TEAM, value: str = "") -> dict[str, Any]:
        """The payload of a click. value: instead of what the button carries."""
        button = message.button(action_id) or {"value": "{}"}
        return {
            "type": "block_actions", "user": {"id": user, "team_id": team}, "api_app_id": "A0LOCAL",
            "token": "legacy", "team": {"id": team}, "trigger_id": self.trigger(),
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel},
            "channel": {"id": message.channel}, "message": {"ts": message.ts, "blocks": message.blocks},
            "response_url": self.response_url(message.channel, user), "state": {"values": {}},
            "actions": [{"type": "button", "action_id": action_id, "block_id": "b", "action_ts": "1.2",
                         "value": value or button.get("value", "")}],
        }  # fmt: skip

    def submit(self, view_id: str, user: str, values: Mapping[str, Any], *, team: str = TEAM) -> dict[str, Any]:
        view = self.views[view_id]
        return {
            "type": "view_submission", "user": {"id": user, "team_id": team}, "team": {"id": team},
            "api_app_id": "A0LOCAL", "token": "legacy", "trigger_id": self.trigger(),
            "view": {**view, "id": view_id, "hash": "1.a", "state": {"values": dict(values)}},
        }  # fmt: skip

    def command(self, text: str, user: str, *, team: str = TEAM) -> dict[str, str]:
        return {"command": "/stanch", "text": text, "user_id": user, "team_id": team, "channel_id": CHANNEL,
                "response_url": self.response_url(CHANNEL, user), "trigger_id": self.trigger(),
                "token": "legacy"}  # fmt: skip

    # --- What is to be seen ------------------------------------------------------------------------------------

    def shown(self, *, thread: bool = False) -> list[Posted]:
        """Messages everybody sees."""
        return [one for one in self.messages if one.seen_by is None and (thread or one.thread_ts is None)]

    def whispers(self, user: str) -> list[str]:
        return [one.text for one in self.messages if one.seen_by == user]

    def delete(self, message: Posted) -> None:
        self.messages.remove(message)


def form(payload: Mapping[str, Any]) -> bytes:
    """An interaction as it goes over the wire."""
    return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()


def command_form(fields: Mapping[str, str]) -> bytes:
    return urllib.parse.urlencode(fields).encode()


def signed(body: bytes, *, secret: str = SIGNING_SECRET, at_s: float | None = None) -> dict[str, str]:
    """Signing version 0, written here a second time on purpose."""
    timestamp = str(int(time.time() if at_s is None else at_s))
    mac = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={mac}",
            "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        found = json.loads(await request.read() or b"{}")
        return found if isinstance(found, dict) else {}
    return dict(await request.post())


def _true(given: Mapping[str, Any], name: str) -> bool:
    return str(given.get(name, "")).lower() in {"true", "1"}


def _metadata_wrong(metadata: object) -> str:
    """Slack's word for it; empty when it is fine, or none."""
    if metadata is None:
        return ""
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        return "invalid_metadata_format"
    kind, payload = metadata["event_type"], metadata["event_payload"]
    if not isinstance(kind, str) or not kind or not isinstance(payload, dict):
        return "invalid_metadata_schema"
    return "metadata_too_large" if len(json.dumps(metadata)) > METADATA_BYTES else ""


def _json(value: object, default: Any) -> Any:
    if value is None:
        return default
    return json.loads(value) if isinstance(value, str) else value
