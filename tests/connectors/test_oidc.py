from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from requests.adapters import BaseAdapter

from connectors.oidc import Identified, LoginRefused, OpenIdProvider
from connectors.unreachable import Unreachable

ISSUER = "https://id.example.com/realm"
BACK = "https://stanch.example.com/login/oidc/callback"
NOW = 1_790_000_000.0


def key(name: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig", "alg": "ES256"})


@dataclass
class Provider(BaseAdapter):
    """Plays an OpenID provider by its wire: discovery, keys, token endpoint."""

    claims: dict[str, Any] = field(default_factory=dict)
    signing: ECKey = field(default_factory=lambda: key("one"))
    published: list[ECKey] = field(default_factory=list)
    issuer: str = ISSUER
    away: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    token_status: int = 200

    def __post_init__(self) -> None:
        super().__init__()
        self.published = self.published or [self.signing]

    def id_token(self) -> str:
        claims = {
            "iss": ISSUER, "aud": "stanch", "sub": "42", "exp": int(NOW) + 300, "iat": int(NOW), "nonce": "the nonce",
            "email": "Ada@Example.com", "email_verified": True, "groups": ["dba", 7], **self.claims,
        }  # fmt: skip
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": self.signing.kid}, present, self.signing)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        if self.away:
            raise requests.ConnectionError("nobody there")
        path = urlsplit(request.url or "").path
        self.asked.append((path, str(request.body or "")))
        match path:
            case "/realm/.well-known/openid-configuration":
                body: Any = {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{ISSUER}/authorize",
                    "token_endpoint": f"{ISSUER}/token",
                    "jwks_uri": f"{ISSUER}/keys",
                }
            case "/realm/keys":
                body = KeySet(list(self.published)).as_dict(private=False)
            case "/realm/token" if self.token_status == 200:
                body = {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token()}
            case _:
                body = {"error": "invalid_grant"}
        answer = requests.Response()
        answer.status_code = self.token_status if path.endswith("/token") else 200
        answer.headers["Content-Type"] = "application/json"
        answer.raw = io.BytesIO(json.dumps(body).encode())
        answer.url = request.url or ""
        answer.request = request
        return answer

    def close(self) -> None:
        """Nothing is held."""


def client(provider: Provider) -> OpenIdProvider:
    return OpenIdProvider(ISSUER, "stanch", "a secret", adapter=provider, now=lambda: NOW)


def identify(provider: Provider, **changes: Any) -> Identified:
    return client(provider).identify(BACK, "the code", **{"nonce": "the nonce", "verifier": "v" * 43, **changes})


def test_somebody_with_a_verified_address_is_known_by_it() -> None:
    provider = Provider()
    assert identify(provider) == Identified("ada@example.com", ("dba",))
    sent = parse_qs(dict(provider.asked)["/realm/token"])
    assert (sent["code"], sent["code_verifier"], sent["redirect_uri"]) == (["the code"], ["v" * 43], [BACK])


def test_the_way_out_carries_state_nonce_and_a_challenge_and_no_secret() -> None:
    url = client(Provider()).login_url(BACK, state="s", nonce="n", verifier="v" * 43, fresh=False)
    sent = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{ISSUER}/authorize?")
    assert (sent["state"], sent["nonce"], sent["code_challenge_method"]) == (["s"], ["n"], ["S256"])
    assert "v" * 43 not in url
    assert "a secret" not in url
    assert "prompt" not in sent


def test_a_fresh_login_makes_the_provider_ask_again() -> None:
    url = client(Provider()).login_url(BACK, state="s", nonce="n", verifier="v" * 43, fresh=True)
    assert parse_qs(urlsplit(url).query)["prompt"] == ["login"]
    assert identify(Provider(claims={"auth_time": int(NOW)}), fresh_since=NOW - 30).person == "ada@example.com"
    for claims in ({"auth_time": int(NOW) - 3600}, {}):
        with pytest.raises(LoginRefused, match="ask again"):
            identify(Provider(claims=claims), fresh_since=NOW - 30)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com"},
        {"aud": "another client"},
        {"aud": None},
        {"exp": int(NOW) - 3600},
        {"exp": None},
        {"iat": int(NOW) + 3600},
        {"nonce": "of another login"},
        {"nonce": None},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email": None},
        {"email": ""},
    ],
)
def test_a_token_that_does_not_hold_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused):
        identify(Provider(claims=claims))


def test_a_token_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(LoginRefused):
        identify(Provider(signing=key("one"), published=[key("one")]))


def test_keys_that_were_rotated_are_asked_for_again() -> None:
    provider = Provider(signing=key("one"))
    known = client(provider)
    arguments: dict[str, Any] = {"nonce": "the nonce", "verifier": "v" * 43}
    known.identify(BACK, "c", **arguments)
    provider.signing = key("two")
    provider.published = [provider.signing]
    assert known.identify(BACK, "c", **arguments).person == "ada@example.com"


def test_a_code_that_is_not_good_is_refused_and_a_provider_that_is_away_is_unreachable() -> None:
    with pytest.raises(LoginRefused, match="invalid_grant"):
        identify(Provider(token_status=400))
    with pytest.raises(Unreachable):
        identify(Provider(away=True))
    with pytest.raises(Unreachable, match="another issuer"):
        identify(Provider(issuer="https://evil.example.com"))
