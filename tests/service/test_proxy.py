from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from service import proxy
from service.settings import Settings, UnusableSettings
from tests.service.pages_browser import Browser
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a secret of the proxy"
TRUSTED: dict[str, Any] = {"proxy_addresses": "127.0.0.0/8, ::1", "proxy_secret": SecretStr(SECRET)}
VOUCHED = {"X-Stanch-Proxy-Secret": SECRET, "X-Forwarded-Email": "Ada"}


def behind(tmp_path: Path, **settings: Any) -> Browser:
    held = context(story("received"), tmp_path, **{**TRUSTED, **settings})
    people = {"ada": frozenset({"approver"}), "bob": frozenset({"viewer"})}
    object.__setattr__(held.identities, "people", people)  # as stanch.yaml would
    return Browser(held)


def test_whoever_the_proxy_vouches_for_is_logged_in(tmp_path: Path) -> None:
    browser = behind(tmp_path)
    assert browser.get("/login?next=/i/INC-1", **VOUCHED).headers["location"] == "/i/INC-1"
    assert browser.get("/i/INC-1", **VOUCHED).status_code == 200


def test_a_session_does_not_outlive_what_the_proxy_says(tmp_path: Path) -> None:
    browser = behind(tmp_path)
    browser.get("/login", **VOUCHED)
    assert browser.get("/i/INC-1").status_code == 303
    assert browser.get("/i/INC-1", **{**VOUCHED, "X-Forwarded-Email": "bob"}).status_code == 303
    assert browser.get("/i/INC-1", **{**VOUCHED, "X-Stanch-Proxy-Secret": "x"}).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Email": "ada"},
        {"X-Forwarded-Email": "ada", "X-Stanch-Proxy-Secret": ""},
        {"X-Forwarded-Email": "ada", "X-Stanch-Proxy-Secret": SECRET + "x"},
        {"X-Stanch-Proxy-Secret": SECRET},
        {"X-Forwarded-Email": " ", "X-Stanch-Proxy-Secret": SECRET},
    ],
)
def test_without_the_proxys_secret_nobody_is_named(tmp_path: Path, headers: dict[str, str]) -> None:
    answer = behind(tmp_path).get("/login", **headers)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


def test_from_another_address_the_headers_say_nothing(tmp_path: Path) -> None:
    answer = behind(tmp_path, proxy_addresses="10.1.2.3").get("/login", **VOUCHED)
    assert "set-cookie" not in answer.headers


def test_somebody_without_a_role_is_told_how_to_get_one(tmp_path: Path) -> None:
    answer = behind(tmp_path).get("/login", **{**VOUCHED, "X-Forwarded-Email": "stranger"})
    assert answer.status_code == 403
    assert "nobody has given you a role" in answer.text


@pytest.mark.parametrize(
    "settings",
    [
        {"proxy_addresses": "127.0.0.1", "proxy_secret": None},
        {"proxy_addresses": "", "proxy_secret": SecretStr(SECRET)},
        {"proxy_addresses": "the proxy", "proxy_secret": SecretStr(SECRET)},
    ],
)
def test_half_a_proxy_keeps_the_service_from_starting(settings: dict[str, Any]) -> None:
    with pytest.raises(UnusableSettings, match="STANCH_PROXY_ADDRESSES"):
        proxy.check(Settings.model_construct(**settings))
