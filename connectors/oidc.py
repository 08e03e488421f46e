"""Logins by an OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, 3.1)."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests.adapters import BaseAdapter

SCOPE = "openid email profile groups"
TIMEOUT_S = 5.0
LEEWAY_S = 60
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Asymmetric ones only: with a shared secret, whoever can check a token could also make one."""
WHAT = "the OpenID provider"


class LoginRefused(Exception):
    """What came back does not prove who somebody is; the message is for our log and says nothing secret."""


@dataclass(frozen=True, slots=True)
class Identified:
    """person: a verified e-mail address, or the claim named in the settings. groups: empty when none came."""

    person: str
    groups: tuple[str, ...]


class OpenIdProvider:
    """One provider. adapter: how to reach it, None for the network. Methods raise Unreachable when it is away."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        person_claim: str = "email",
        adapter: BaseAdapter | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._person_claim = person_claim
        self._adapter = adapter
        self._now = now
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    def login_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str, fresh: bool) -> str:
        """Where to send the browser. fresh: the provider has to ask the person again."""
        more = {"prompt": "login", "max_age": "0"} if fresh else {}
        with self._session(redirect_uri) as session:
            url, _ = session.create_authorization_url(
                self._discovered()["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier, **more
            )
        return str(url)

    def identify(
        self, redirect_uri: str, code: str, *, nonce: str, verifier: str, fresh_since: float | None = None
    ) -> Identified:
        """Who came back with the code. fresh_since: epoch seconds that the person must have logged in after.

        Raises:
            LoginRefused: the code is not good, or the token is not one of this provider, for us, now and this login.
        """
        try:
            with self._session(redirect_uri) as session:
                answer = session.fetch_token(
                    self._discovered()["token_endpoint"], code=code, code_verifier=verifier, timeout=TIMEOUT_S
                )
        except AuthlibBaseError as error:
            raise LoginRefused(f"the provider did not take the code: {error.error}") from error
        except requests.RequestException as error:
            raise Unreachable(WHAT, type(error).__name__) from error
        claims = self._claims(str(answer.get("id_token", "")), nonce)
        if fresh_since is not None and float(claims.get("auth_time") or 0) < fresh_since - LEEWAY_S:
            raise LoginRefused("the provider did not ask again who this is")
        return Identified(self._person(claims), _groups(claims))

    def _claims(self, token: str, nonce: str) -> CodeIDToken:
        try:
            try:
                decoded = jwt.decode(token, self._key_set(), algorithms=list(ALGORITHMS))
            except InvalidKeyIdError:  # it may have been rotated since we looked
                decoded = jwt.decode(token, self._key_set(again=True), algorithms=list(ALGORITHMS))
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._discovered()["issuer"]},
                    "aud": {"essential": True, "value": self._client_id},
                },
                {"nonce": nonce, "client_id": self._client_id},
            )
            claims.validate(now=int(self._now()), leeway=LEEWAY_S)
        except (JoseError, AuthlibBaseError, ValueError) as error:
            raise LoginRefused(f"the ID token does not hold: {error}") from error
        if claims.get("nonce") != nonce:
            raise LoginRefused("the ID token is of another login")
        return claims

    def _person(self, claims: CodeIDToken) -> str:
        if self._person_claim == "email" and claims.get("email_verified") is not True:
            raise LoginRefused("the provider does not say that the e-mail address is verified")
        person = claims.get(self._person_claim)
        if not isinstance(person, str) or not person.strip():
            raise LoginRefused(f"the ID token has no {self._person_claim}")
        return person.strip().lower() if self._person_claim == "email" else person.strip()

    def _discovered(self) -> dict[str, Any]:
        with self._lock:
            if self._metadata is None:
                found = self._get(get_well_known_url(self._issuer, external=True))
                if str(found.get("issuer", "")).rstrip("/") != self._issuer.rstrip("/"):
                    raise Unreachable(WHAT, "it says that it is another issuer", permanent=True)
                self._metadata = found
            return self._metadata

    def _key_set(self, *, again: bool = False) -> KeySet:
        address = self._discovered()["jwks_uri"]
        with self._lock:
            if self._keys is None or again:
                self._keys = KeySet.import_key_set(self._get(address))  # type: ignore[arg-type]  # its own TypedDict
            return self._keys

    def _get(self, url: str) -> dict[str, Any]:
        try:
            with requests.Session() as session:
                self._mount(session)
                answer = session.get(url, timeout=TIMEOUT_S, allow_redirects=False)
            answer.raise_for_status()
            body = answer.json()
        except requests.RequestException as error:
            raise Unreachable(WHAT, type(error).__name__) from error
        if not isinstance(body, dict):
            raise Unreachable(WHAT, "its answer is not a JSON object")
        return body

    def _session(self, redirect_uri: str) -> OAuth2Session:
        session = OAuth2Session(
            self._client_id,
            self._client_secret,
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=TIMEOUT_S,
        )
        self._mount(session)
        return session

    def _mount(self, session: requests.Session) -> None:
        if self._adapter is not None:
            session.mount("https://", self._adapter)
            session.mount("http://", self._adapter)


def _groups(claims: CodeIDToken) -> tuple[str, ...]:
    groups = claims.get("groups")
    return tuple(one for one in groups if isinstance(one, str)) if isinstance(groups, list) else ()
