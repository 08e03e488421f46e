"""The Web API, as far as we use it: each call answers, or raises Unreachable with what to do about it."""

from __future__ import annotations

import json
import logging
import re
import ssl
import urllib.error
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slack_sdk.web import SlackResponse

    from connectors.slack.messages import Message

SLACK_API = "https://slack.com/api/"
TIMEOUT_S = 5
RESPONSE_HOSTS = {"slack.com": "hooks.slack.com", "slack-gov.com": "hooks.slack-gov.com"}
NEEDED_SCOPES = ("chat:write", "commands", "files:write", "users:read")
GROUP_SCOPE = "usergroups:read"
"""Only where a user group narrows who may approve."""
CHANNEL_SCOPES = ("channels:read", "groups:read")
HISTORY_SCOPES = ("channels:history", "groups:history")
"""Only to find again what was posted just before a process ended."""
MARK = "stanch_message"
"""The event type of our messages' metadata."""
PAGE_MESSAGES = 200
MOST_PAGES = 5
CLOCKS_DIFFER_S = 300.0

_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_NO_THREAD = frozenset({"thread_not_found", "cannot_reply_to_message"})
_UNSHOWN = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long",
                      "invalid_attachments"})  # fmt: skip
_OUR_FAULT = frozenset(
    {
        "account_inactive", "channel_not_found", "ekm_access_denied", "enterprise_is_restricted", "invalid_arguments",
        "invalid_auth", "is_archived",
        "missing_scope", "no_permission", "not_allowed_token_type", "not_authed", "not_in_channel",
        "org_login_required", "restricted_action", "team_access_not_granted", "token_expired",
        "token_revoked", "user_not_found",
    }
)  # fmt: skip
"""What the same request gets again until somebody changes something."""


class Refused(Unreachable):
    """Slack answered no. error: Slack's own word for it."""

    def __init__(self, method: str, error: str) -> None:
        super().__init__("slack", f"{method}: {error}", permanent=error in _OUR_FAULT)
        self.error = error

    @property
    def gone(self) -> bool:
        """The message to be changed is not there any more, or not ours to change any more."""
        return self.error in _GONE

    @property
    def no_thread(self) -> bool:
        """The message to be answered under is not there any more."""
        return self.error in _NO_THREAD

    @property
    def unshown(self) -> bool:
        """Slack does not take the blocks; the same words in a plainer message may pass."""
        return self.error in _UNSHOWN


class TooFast(Unreachable):
    """Slack said 429. wait_s: before anything is sent again."""

    def __init__(self, method: str, wait_s: float) -> None:
        super().__init__("slack", f"{method}: rate limited for {wait_s:.0f} s")
        self.wait_s = wait_s


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Slack:
    """One workspace. api_url: where the Web API is, from settings only."""

    client: WebClient = field(repr=False)
    api_url: str

    @classmethod
    def at(cls, token: str, api_url: str = SLACK_API, *, timeout_s: int = TIMEOUT_S) -> Slack:
        """Raises ValueError for an address that would carry the token in the open."""
        parts = urlsplit(api_url)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError("must be https, or http on this machine")
        url = api_url.rstrip("/") + "/"
        # Its own retries would sleep inside a call; ours are the reconciler's.
        logger = logging.getLogger("stanch.slack.web")
        logger.setLevel(logging.CRITICAL)  # every error it would log is raised as Unreachable
        return cls(WebClient(token=token, base_url=url, timeout=timeout_s, retry_handlers=[], logger=logger), url)

    # --- Messages ----------------------------------------------------------------------------------------------

    def post(
        self,
        channel: str,
        message: Message,
        *,
        thread_ts: str | None = None,
        broadcast: bool = False,
        mark: Mapping[str, str] | None = None,
    ) -> str:
        """Its ts. mark: by which `find` knows it again; nobody sees it."""
        metadata = {"event_type": MARK, "event_payload": dict(mark)} if mark else None
        with _calling("chat.postMessage"):
            answer = self.client.chat_postMessage(
                channel=channel, text=message.text, blocks=list(message.blocks), thread_ts=thread_ts,
                reply_broadcast=broadcast or None, unfurl_links=False, unfurl_media=False, parse="none",
                link_names=False, metadata=metadata,
            )  # fmt: skip
            return _text(answer, "ts")

    def find(self, channel: str, mark: Mapping[str, str], *, thread_ts: str | None, since_s: float) -> str | None:
        """The ts of our own message with the mark; None when there is none. since_s: epoch, by a clock like Slack's."""
        wanted = {"event_type": MARK, "event_payload": dict(mark)}
        for one in self._own(channel, thread_ts, since_s):
            if one.get("metadata") == wanted:
                return str(one.get("ts"))
        return None

    def find_file(self, channel: str, thread_ts: str, name: str, *, since_s: float) -> bool:
        """Whether a file of ours of that name is in the thread."""
        files = (file for one in self._own(channel, thread_ts, since_s) for file in one.get("files") or ())
        return any(isinstance(file, dict) and file.get("name") == name for file in files)

    def _own(self, channel: str, thread_ts: str | None, since_s: float) -> Iterator[dict[str, Any]]:
        """What this app posted, newest pages first. Anybody may give a message our mark; only we are its author."""
        me = self.who_am_i()[0]["user_id"]
        given: dict[str, Any] = {
            "channel": channel, "oldest": f"{since_s - CLOCKS_DIFFER_S:.6f}", "limit": PAGE_MESSAGES,
            "include_all_metadata": True,
        }  # fmt: skip
        cursor = None
        for _ in range(MOST_PAGES):
            if thread_ts:
                with _calling("conversations.replies"):
                    answer = self.client.conversations_replies(ts=thread_ts, cursor=cursor, **given)
            else:
                with _calling("conversations.history"):
                    answer = self.client.conversations_history(cursor=cursor, **given)
            for one in answer.get("messages") or ():
                if isinstance(one, dict) and me and one.get("user") == me:
                    yield one
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    def update(self, channel: str, ts: str, message: Message) -> None:
        with _calling("chat.update"):
            # Here the default of parse is not none.
            self.client.chat_update(
                channel=channel, ts=ts, text=message.text, blocks=list(message.blocks), parse="none", link_names=False
            )

    def whisper(self, channel: str, user: str, words: str, *, thread_ts: str | None = None) -> None:
        """Seen by one person. words: escaped."""
        with _calling("chat.postEphemeral"):
            self.client.chat_postEphemeral(
                channel=channel, user=user, text=words, thread_ts=thread_ts, parse="none", link_names=False
            )

    def upload(self, channel: str, thread_ts: str, name: str, title: str, content: bytes, alt: str = "") -> None:
        """A file into a thread, by the three calls that replaced files.upload."""
        with _calling("files.getUploadURLExternal"):
            place = self.client.files_getUploadURLExternal(filename=name, length=len(content), alt_txt=alt or None)
            url, file_id = _text(place, "upload_url"), _text(place, "file_id")
        self._put(url, content)
        with _calling("files.completeUploadExternal"):
            self.client.files_completeUploadExternal(
                files=[{"id": file_id, "title": title}], channel_id=channel, thread_ts=thread_ts
            )

    def _put(self, url: str, content: bytes) -> None:
        """Slack names the address; it has to be Slack's own, or the configured server's."""
        parts, own = urlsplit(url), urlsplit(self.api_url)
        slacks = parts.scheme == "https" and bool(
            re.fullmatch(r"(?:[a-z0-9-]+\.)*slack(?:-gov)?\.com", parts.hostname or "")
        )
        if not slacks and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise Unreachable("slack", "the address to upload to is not Slack's", permanent=True)
        self._send(url, content, "application/octet-stream")

    # --- Answers to a click ------------------------------------------------------------------------------------

    def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> str:
        """The view's id."""
        with _calling("views.open"):
            answer = self.client.views_open(trigger_id=trigger_id, view=dict(view))
            return str((answer.get("view") or {}).get("id", ""))

    def update_view(self, view_id: str, view: Mapping[str, Any]) -> None:
        with _calling("views.update"):
            self.client.views_update(view_id=view_id, view=dict(view))

    def answer(self, response_url: str, words: str) -> None:
        """To the person alone, leaving the message as it is. Raises Unreachable for an address that is not Slack's."""
        if not self.may_answer(response_url):
            raise Unreachable("slack", "the response address is not Slack's", permanent=True)
        body = {"text": words, "response_type": "ephemeral", "replace_original": False}
        self._send(response_url, json.dumps(body).encode(), "application/json")

    def may_answer(self, response_url: str) -> bool:
        """Only Slack's own host over https, or the configured server when that is not Slack."""
        parts, own = urlsplit(response_url), urlsplit(self.api_url)
        hook = RESPONSE_HOSTS.get(own.hostname or "")
        if hook is not None:
            return (parts.scheme, parts.netloc) == ("https", hook)
        return (parts.scheme, parts.netloc) == (own.scheme, own.netloc)

    def _send(self, url: str, content: bytes, content_type: str) -> None:
        request = Request(url, content, {"Content-Type": content_type}, method="POST")  # noqa: S310 checked above
        opener = build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(10_000)
        except (urllib.error.URLError, HTTPException, OSError, ssl.SSLError) as error:
            raise Unreachable("slack", f"{type(error).__name__} at {urlsplit(url).hostname}") from error

    # --- Who ---------------------------------------------------------------------------------------------------

    def who_am_i(self) -> tuple[dict[str, str], frozenset[str]]:
        """auth.test and the scopes the token has."""
        with _calling("auth.test"):
            answer = self.client.auth_test()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            scopes = frozenset(one.strip() for one in str(headers.get("x-oauth-scopes", "")).split(",") if one.strip())
            return {name: str(answer.get(name) or "") for name in ("team_id", "team", "user_id", "user", "url")}, scopes

    def user(self, user_id: str) -> dict[str, Any]:
        with _calling("users.info"):
            found = self.client.users_info(user=user_id).get("user")
        if not isinstance(found, dict):
            raise Unreachable("slack", "users.info: an answer without a user")
        return found

    def members(self, usergroup: str) -> Sequence[str]:
        with _calling("usergroups.users.list"):
            found = self.client.usergroups_users_list(usergroup=usergroup).get("users")
        if not isinstance(found, list):
            raise Unreachable("slack", "usergroups.users.list: an answer without users")
        return [str(one) for one in found]

    def channel(self, channel: str) -> dict[str, Any]:
        with _calling("conversations.info"):
            found = self.client.conversations_info(channel=channel).get("channel")
        return found if isinstance(found, dict) else {}


def _text(answer: SlackResponse, name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise Unreachable("slack", f"an answer without {name}")
    return value


@contextmanager
def _calling(method: str) -> Iterator[None]:
    """Whatever goes wrong becomes Unreachable, without the token, which some errors repeat."""
    try:
        yield
    except SlackApiError as error:
        raise _refused(method, error) from None
    except (SlackClientError, urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise Unreachable("slack", f"{method}: {type(error).__name__}") from None


def _refused(method: str, error: SlackApiError) -> Unreachable:
    answer = error.response
    status = getattr(answer, "status_code", 200)
    headers = {str(name).lower(): value for name, value in (getattr(answer, "headers", None) or {}).items()}
    data = answer.data if hasattr(answer, "data") else answer
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code == "ratelimited":  # noqa: PLR2004 Too Many Requests
        return TooFast(method, _seconds(headers.get("retry-after")))
    if status >= 500 or not code:  # noqa: PLR2004 the server's side
        return Unreachable("slack", f"{method}: HTTP {status}")
    return Refused(method, code[:100])


def _seconds(sent: object) -> float:
    """Retry-After; a header we cannot read means a while."""
    text = str(sent or "")
    return min(float(text), 3600.0) if re.fullmatch(r"[0-9]{1,6}", text) else 30.0
