"""Our own events on their way out: Standard Webhooks to configured receivers, and one-way notices through apprise.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from standardwebhooks.webhooks import Webhook

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TIMEOUT_S = 10.0
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
MAX_WAIT_S = 24 * 3600.0
OVER = frozenset({410})
"""The receiver says that it wants no more of this."""
AGAIN = frozenset({408, 425, 429})
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Clouds' own addresses that are neither link-local nor otherwise special."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class UnusableSecret(ValueError):
    """A signing secret that Standard Webhooks does not know; its text is not repeated."""


INSTALL_APPRISE = ".venv/bin/python -m pip install 'apprise>=1.9'"
"""The extra notify; Stanch itself is installed from its tree."""


class ExtraMissing(RuntimeError):
    """Apprise is an optional extra, and it is not installed."""


class Undelivered(Unreachable):
    """The receiver did not take it. wait_s: what it asked for, None when it said nothing."""

    def __init__(self, receiver: str, why: str, *, permanent: bool = False, wait_s: float | None = None) -> None:
        super().__init__(f"receiver {receiver}", why, permanent=permanent)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Receiver:
    """allow_private: its address may be one of an own network, and then plain http is fine too."""

    name: str
    url: str
    allow_private: bool = False


def secrets_of(text: str) -> tuple[str, ...]:
    """Comma-separated, the newest first; each signs, so that a receiver may still know the one before. Raises
    UnusableSecret.
    """
    found = tuple(filter(None, (part.strip() for part in text.split(","))))
    for position, one in enumerate(found, 1):
        try:
            size = len(base64.b64decode(one.removeprefix("whsec_"), validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not one.startswith("whsec_") or not MIN_SECRET_BYTES <= size <= MAX_SECRET_BYTES:
            raise UnusableSecret(
                f"secret {position} is not whsec_ and base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes; "
                'make one with: echo "whsec_$(openssl rand -base64 32)"'
            )
    return found


def resolve(host: str, port: int) -> Sequence[str]:
    """The host's addresses. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def why_not(text: str, *, allow_private: bool) -> str:
    """Why nothing is sent to this address; empty: it is fine."""
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    if address in METADATA or address.is_link_local:
        return "it is an address of the machine's own provider (link-local or metadata)"
    if address.is_multicast or address.is_unspecified or address == ipaddress.ip_address("255.255.255.255"):
        return "it is no address of one machine"
    if not address.is_global and not allow_private:
        return "it is not a public address; if it is meant, set allow_private for this receiver"
    return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that some IPv6 addresses stand for."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Signs and posts. Nothing but configured receivers is ever asked, and no redirect is followed."""

    secrets: tuple[str, ...] = field(repr=False)
    transport: httpx.BaseTransport | None = None
    look_up: Callable[[str, int], Sequence[str]] = resolve

    def send(self, receiver: Receiver, message_id: str, at: datetime, body: str) -> None:
        """One attempt. Raises Undelivered."""
        url, host = self._pinned(receiver)
        signatures = " ".join(Webhook(one).sign(message_id, at, body) for one in self.secrets)
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            "User-Agent": "stanch",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signatures,
        }
        # The proxy of the environment would resolve the name a second time, and not as we did.
        client = httpx.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, transport=self.transport, http2=False
        )
        sni: dict[str, Any] = {"sni_hostname": urlsplit(receiver.url).hostname}
        try:
            with client, client.stream("POST", url, content=body.encode(), headers=headers, extensions=sni) as answer:
                _judge(receiver, answer)
        except httpx.HTTPError as error:
            raise Undelivered(receiver.name, type(error).__name__) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise Undelivered(receiver.name, f"unusable address: {type(error).__name__}", permanent=True) from None

    def _pinned(self, receiver: Receiver) -> tuple[str, str]:
        """The URL with the address it was judged by, and the Host it stands for."""
        parts = urlsplit(receiver.url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and receiver.allow_private):
            raise Undelivered(receiver.name, "plain http is for an own network only (allow_private)", permanent=True)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            addresses = list(self.look_up(host, port))
        except (OSError, UnicodeError, ValueError) as error:
            raise Undelivered(receiver.name, f"{host} has no address: {type(error).__name__}") from None
        if not addresses:
            raise Undelivered(receiver.name, f"{host} has no address")
        for address in addresses:
            reason = why_not(address, allow_private=receiver.allow_private)
            if reason:
                raise Undelivered(receiver.name, f"{host}: {reason}", permanent=True)
        chosen = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        path = parts.path or "/"
        return f"{parts.scheme}://{chosen}:{port}{path}{f'?{parts.query}' if parts.query else ''}", parts.netloc


def _judge(receiver: Receiver, answer: httpx.Response) -> None:
    """2xx is taken; everything else is not, a redirect least of all. The body is not read."""
    status = answer.status_code
    if 200 <= status < 300:  # noqa: PLR2004 HTTP's own
        return
    if status in OVER:
        raise Undelivered(receiver.name, f"HTTP {status}: it wants no more", permanent=True)
    if 300 <= status < 400:  # noqa: PLR2004 HTTP's own
        raise Undelivered(receiver.name, f"HTTP {status}: redirects are not followed")
    raise Undelivered(receiver.name, f"HTTP {status}", wait_s=_seconds(answer.headers.get("retry-after", "")))


def _seconds(sent: str) -> float | None:
    """Retry-After in seconds; a date, or nonsense, counts as nothing said."""
    return min(float(sent), MAX_WAIT_S) if re.fullmatch(r"[0-9]{1,7}", sent.strip()) else None


class Apprise:
    """One-way notices to whatever apprise can reach. urls carry secrets and are shown nowhere."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises ExtraMissing, and ValueError for an address apprise does not know."""
        try:
            import apprise  # noqa: PLC0415 an optional extra, and slow to import
        except ImportError:
            raise ExtraMissing(f"apprise is not installed: {INSTALL_APPRISE}") from None
        self._sender = apprise.Apprise()
        self._text = apprise.NotifyFormat.TEXT
        for position, url in enumerate(urls, 1):
            if not self._sender.add(url):
                raise ValueError(f"address {position} is none that apprise knows")

    def send(self, title: str, body: str) -> None:
        """One attempt. Raises Undelivered."""
        try:
            taken = bool(self._sender.notify(title=title, body=body, body_format=self._text))
        except Exception as error:  # noqa: BLE001 a hundred plug-ins, each with errors of its own, whose text may hold the address
            raise Undelivered("apprise", type(error).__name__) from None
        if not taken:
            raise Undelivered("apprise", "not every service took it")
