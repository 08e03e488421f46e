from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from service.pages.origin import own_path
from service.settings import UnusableSettings
from tests.service.app_world import app_on
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import TOKENS, context, story

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["/", "/i/INC-1", "/i/INC-1/postmortem", "/quarantine"])
def test_reading_needs_a_login_and_comes_back_afterwards(path: str, tmp_path: Path) -> None:
    browser = Browser(context(story("resolved"), tmp_path))
    answer = browser.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"
    form = Read(browser.get(answer.headers["location"]).text)
    wanted = next(one["value"] for one in form.all("input") if one["name"] == "next")
    entered = browser.post("/login", {"token": TOKENS["Ada"], "next": wanted})
    assert entered.headers["location"] == path
    assert browser.get(path).status_code == 200


def test_a_session_is_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path))
    cookie = browser.post("/login", {"token": TOKENS["Ada"]}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert TOKENS["Ada"] not in cookie


def test_a_session_of_an_https_address_never_travels_in_the_clear(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path, public_url="https://stanch.example"))
    form = {"token": TOKENS["Ada"]}
    assert "Secure" in browser.post("/login", form, {"Origin": "https://stanch.example"}).headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "stn_nobody", "é", "x" * 5000])
def test_an_unknown_token_opens_nothing_and_is_not_repeated(token: str, tmp_path: Path) -> None:
    answer = Browser(context(story("received"), tmp_path)).post("/login", {"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert len(token) < 5 or token not in answer.text


def test_a_login_form_from_another_site_is_not_read(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path))
    answer = browser.post("/login", {"token": TOKENS["Ada"]}, {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/i/INC-1\r\nSet-Cookie: a=b", "", "evil", "/" + "x" * 600, "/é",
    ],
    ids=range(11),
)  # fmt: skip
def test_after_a_login_nobody_is_sent_to_another_site(wanted: str, tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path))
    assert browser.post("/login", {"token": TOKENS["Ada"], "next": wanted}).headers["location"] == "/"
    assert own_path(wanted) == "/"


def test_a_path_of_our_own_is_kept_with_its_query() -> None:
    assert own_path("/i/INC-1?fragment=1#decision") == "/i/INC-1?fragment=1#decision"


def test_logging_out_ends_the_session(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path)).log_in()
    page = Read(browser.get("/").text)
    csrf = next(one["value"] for one in page.all("input") if one["name"] == "csrf")
    assert browser.post("/logout", {"csrf": csrf}).status_code == 303
    assert browser.get("/").status_code == 303


def test_logging_somebody_else_out_is_not_possible(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path)).log_in()
    assert browser.post("/logout", {"csrf": "0" * 64}).status_code == 403
    assert browser.get("/").status_code == 200


def test_a_forged_session_is_nobody(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path))
    browser.cookies.set("stanch_session", "eyJwZXJzb24iOiJBZGEifQ.aaaaaa.bbbbbbbbbbb", domain="testserver")
    assert browser.get("/").status_code == 303


def test_the_development_login_is_not_there_unless_it_is_set(tmp_path: Path) -> None:
    answer = Browser(context(story("received"), tmp_path)).get("/enter?code=")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


NOWHERE = "postgresql://stanch@127.0.0.1:1/stanch"
"""Nobody asks it: what a service may not do is known before."""


EVERYWHERE = "0.0.0.0"  # noqa: S104 it is refused


@pytest.mark.parametrize("address", [EVERYWHERE, "::", "10.0.0.5", "127.0.0.1.evil.example", ""])
def test_a_service_that_others_reach_does_not_start_with_a_development_login(address: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableSettings, match="loopback"):
        app_on(NOWHERE, tmp_path, dev_login=SecretStr("sesame:Ada"), bind_host=address)


@pytest.mark.parametrize("code", ["", "wrong", "sesame:Ada", "é"])
def test_the_development_login_takes_only_its_code(code: str, tmp_path: Path) -> None:
    held = context(story("received"), tmp_path, dev_login=SecretStr("sesame:Ada"))
    answer = Browser(held).get(f"/enter?code={code}")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_development_login_is_a_session_of_its_person(tmp_path: Path) -> None:
    browser = Browser(context(story("received"), tmp_path, dev_login=SecretStr("sesame:Ada")))
    answer = browser.get("/enter?code=sesame&next=/i/INC-1")
    assert answer.headers["location"] == "/i/INC-1"
    assert "Ada" in browser.get("/i/INC-1").text


def test_the_development_login_of_somebody_without_a_token_opens_nothing(tmp_path: Path) -> None:
    held = context(story("received"), tmp_path, dev_login=SecretStr("sesame:Mallory"))
    assert Browser(held).get("/enter?code=sesame").status_code == 403
