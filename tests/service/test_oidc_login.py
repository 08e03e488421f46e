"""The way to an OpenID provider and back, on the real routes; the provider is played by its wire."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.routes.oidc import STATE_COOKIE
from tests.connectors.test_oidc import ISSUER, Provider, client
from tests.service.pages_browser import Browser
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

    import httpx


def behind(provider: Provider, folder: Path) -> Browser:
    held = context(story("received"), folder)
    people = {"ada@example.com": frozenset({"approver"})}
    return Browser(
        replace(held, provider=client(provider), identities=replace(held.identities, people=people))  # type: ignore[arg-type]
    )


def out(browser: Browser, path: str = "/login/oidc?next=/i/INC-1") -> dict[str, str]:
    """What the browser is sent to the provider with."""
    answer = browser.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{ISSUER}/authorize?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def back(browser: Browser, **query: str) -> httpx.Response:
    return browser.request("GET", "/login/oidc/callback", params=query)


def session(browser: Browser) -> str | None:
    return browser.cookies.get("stanch_session")


def test_whoever_the_provider_names_is_logged_in_and_led_to_where_they_were_going(tmp_path: Path) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    sent = out(browser)
    assert sent["redirect_uri"].endswith("/login/oidc/callback")
    provider.claims["nonce"] = sent["nonce"]
    answer = back(browser, code="good", state=sent["state"])
    assert answer.headers["location"] == "/i/INC-1"
    assert browser.get("/i/INC-1").status_code == 200
    assert STATE_COOKIE not in browser.cookies
    assert "code_challenge" in sent
    assert sent["code_challenge_method"] == "S256"


def test_what_comes_back_unchanged_is_out_of_reach_of_scripts_and_short_lived(tmp_path: Path) -> None:
    cookie = behind(Provider(), tmp_path).get("/login/oidc").headers["set-cookie"]
    assert cookie.startswith(f"{STATE_COOKIE}=")
    for wanted in ("HttpOnly", "SameSite=lax", "Max-Age=600", "Path=/login/oidc"):
        assert wanted in cookie


@pytest.mark.parametrize("changed", [{"state": "of-another"}, {"state": ""}, {"state": "\u00e9"}, {"code": ""}])
def test_an_answer_to_another_question_opens_nothing(tmp_path: Path, changed: dict[str, str]) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    sent = out(browser)
    provider.claims["nonce"] = sent["nonce"]
    answer = back(browser, **{"code": "good", "state": sent["state"], **changed})
    assert answer.status_code == 403
    assert session(browser) is None
    assert "/realm/token" not in dict(provider.asked)


@pytest.mark.parametrize("carried", [None, "forged", "Zm9yZ2Vk.aaaa.bbbb"])
def test_an_answer_that_this_browser_did_not_ask_for_opens_nothing(tmp_path: Path, carried: str | None) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    sent = out(browser)
    browser.cookies.clear()
    if carried is not None:
        browser.cookies.set(STATE_COOKIE, carried, path="/login/oidc")
    assert back(browser, code="good", state=sent["state"]).status_code == 403
    assert session(browser) is None


@pytest.mark.parametrize("claims", [{"nonce": "of another login"}, {"email_verified": False}, {"aud": "another"}])
def test_a_token_that_does_not_hold_opens_nothing_and_is_not_repeated(tmp_path: Path, claims: dict[str, Any]) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    sent = out(browser)
    provider.claims |= {"nonce": sent["nonce"], **claims}
    answer = back(browser, code="good", state=sent["state"])
    assert answer.status_code == 403
    assert "does not prove who you are" in answer.text
    assert session(browser) is None


def test_somebody_without_a_role_is_told_so_and_gets_no_session(tmp_path: Path) -> None:
    provider = Provider(claims={"email": "eve@example.com"})
    browser = behind(provider, tmp_path)
    sent = out(browser)
    provider.claims["nonce"] = sent["nonce"]
    answer = back(browser, code="good", state=sent["state"])
    assert answer.status_code == 403
    assert "nobody has given you a role" in answer.text
    assert session(browser) is None


def test_a_fresh_login_takes_only_an_answer_that_is_as_fresh(tmp_path: Path) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    for ago_s, code in ((3600, 403), (0, 303)):
        sent = out(browser, "/login/oidc?fresh=1&next=/i/INC-1")
        assert (sent["prompt"], sent["max_age"]) == ("login", "0")
        provider.claims |= {"nonce": sent["nonce"], "auth_time": int(time.time()) - ago_s}
        assert back(browser, code="good", state=sent["state"]).status_code == code


def test_each_login_has_a_session_of_its_own_and_ends_the_one_before(tmp_path: Path) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    seen = []
    for _ in range(2):
        sent = out(browser)
        provider.claims["nonce"] = sent["nonce"]
        back(browser, code="good", state=sent["state"])
        seen.append(session(browser))
    assert len(set(seen)) == 2
    browser.cookies.set("stanch_session", str(seen[0]))
    assert browser.get("/i/INC-1").status_code == 303


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_after_the_provider_nobody_is_sent_to_another_site(tmp_path: Path, wanted: str) -> None:
    provider = Provider()
    browser = behind(provider, tmp_path)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(
        browser.request("GET", "/login/oidc", params={"next": wanted}).headers["location"]).query).items()}  # fmt: skip
    provider.claims["nonce"] = sent["nonce"]
    assert back(browser, code="good", state=sent["state"]).headers["location"] == "/"


def test_without_a_provider_or_with_one_that_is_away_a_token_still_opens_the_door(tmp_path: Path) -> None:
    held = context(story("received"), tmp_path)
    assert Browser(held).get("/login/oidc").status_code == 404
    browser = behind(Provider(away=True), tmp_path)
    answer = browser.get("/login/oidc")
    assert answer.status_code == 503
    assert "personal API token" in answer.text
    browser.log_in()
