"""A login that a proxy in front of us did (oauth2-proxy and its like): believed from listed addresses with a secret."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING

from service.settings import UnusableSettings

if TYPE_CHECKING:
    from fastapi import Request

    from service.sessions import Session
    from service.settings import Settings

SECRET_HEADER = "x-stanch-proxy-secret"  # noqa: S105 the header's name, not a secret
EMAIL_HEADER = "x-forwarded-email"
GROUPS_HEADER = "x-forwarded-groups"


def check(settings: Settings) -> None:
    """Raises UnusableSettings: either alone would let anybody name themselves."""
    if bool(settings.proxy_addresses) != (settings.proxy_secret is not None):
        raise UnusableSettings("STANCH_PROXY_ADDRESSES and STANCH_PROXY_SECRET belong together: set both or neither")
    for address in _addresses(settings):
        try:
            ipaddress.ip_network(address)
        except ValueError as error:
            raise UnusableSettings(f"STANCH_PROXY_ADDRESSES: {error}") from error


def named(request: Request, settings: Settings) -> tuple[str, tuple[str, ...]] | None:
    """Person and groups that the proxy vouches for; None without one that we trust."""
    secret = settings.proxy_secret
    sent = request.headers.get(SECRET_HEADER, "")
    if secret is None or request.client is None or not _listed(request.client.host, settings):
        return None
    if not hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), secret.get_secret_value().encode()):
        return None
    person = request.headers.get(EMAIL_HEADER, "").strip().lower()
    groups = tuple(filter(None, (one.strip() for one in request.headers.get(GROUPS_HEADER, "").split(","))))
    return (person, groups) if person else None


def contradicts(request: Request, settings: Settings, session: Session) -> bool:
    """Whether the session began behind the proxy and the proxy no longer vouches for the same person."""
    if session.method != "proxy":
        return False
    vouched = named(request, settings)
    return vouched is None or vouched[0] != session.person


def _listed(host: str, settings: Settings) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one) for one in _addresses(settings))


def _addresses(settings: Settings) -> tuple[str, ...]:
    return tuple(filter(None, (one.strip() for one in settings.proxy_addresses.split(","))))
