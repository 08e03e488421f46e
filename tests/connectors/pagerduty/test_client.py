from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr

from connectors.pagerduty.client import MAX_ANSWER_BYTES, Busy, Events, Gone, PagerDuty
from connectors.pagerduty.memory import ME, Account, limited
from connectors.unreachable import Unreachable

URL = "https://api.pagerduty.com"


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def line(account: Account, clock: Clock | None = None, *, token: str = "rest-token") -> PagerDuty:  # noqa: S107 a fake's
    sender = account.sender
    return PagerDuty(URL, SecretStr(token), sender, transport=account.transport(), clock=clock or Clock())


@pytest.fixture
def account() -> Account:
    made = Account()
    made.add("PX1")
    return made


def test_an_incident_is_acknowledged_noted_and_resolved(account: Account) -> None:
    rest = line(account)
    assert rest.incident("PX1").status == "triggered"
    assert rest.set_status("PX1", "acknowledged").acknowledgers == {ME}
    rest.add_note("PX1", "cause: a missing index")
    assert rest.notes("PX1") == ("cause: a missing index",)
    assert rest.set_status("PX1", "resolved", resolution="verified").status == "resolved"
    assert account.incidents["PX1"].resolution == "verified"
    rest.close()


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [({"Retry-After": "7"}, 7.0), ({"ratelimit-reset": "12"}, 12.0), ({}, 30.0), ({"Retry-After": "soon"}, 30.0),
     ({"Retry-After": "9" * 400}, 900.0), ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0.0),
     ({"Retry-After": "soon", "ratelimit-reset": "3"}, 3.0)],
)  # fmt: skip
def test_a_429_says_for_how_long_and_nothing_is_sent_before(
    account: Account, headers: dict[str, str], after_s: float
) -> None:
    clock = Clock()
    rest = line(account, clock)
    account.refusals = [httpx.Response(429, headers=headers)]
    with pytest.raises(Busy) as busy:
        rest.incident("PX1")
    assert busy.value.after_s == pytest.approx(after_s)
    asked = len(account.log)
    if after_s:
        with pytest.raises(Busy):
            rest.incident("PX1")
        assert len(account.log) == asked
    clock.at += after_s + 0.1
    assert rest.incident("PX1").status == "triggered"


def test_the_last_request_of_a_minute_is_the_last(account: Account) -> None:
    clock = Clock()
    rest = line(account, clock)
    body = {"incident": {"id": "PX1", "status": "triggered"}}
    account.refusals = [httpx.Response(200, headers={"ratelimit-remaining": "0", "ratelimit-reset": "20"}, json=body)]
    assert rest.incident("PX1").acknowledgers == frozenset()
    with pytest.raises(Busy):
        rest.incident("PX1")
    clock.at += 20.5
    rest.incident("PX1")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(account: Account, status: int) -> None:
    account.refusals = [httpx.Response(status, headers={"Location": "https://evil.example/incidents/PX1"})]
    with pytest.raises(Unreachable, match="not followed") as error:
        line(account).incident("PX1")
    assert error.value.permanent
    assert account.log == []


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        (httpx.Response(500), False),
        (httpx.Response(503, text="<html>"), False),
        (httpx.Response(401), True),
        (httpx.Response(403), True),
        (httpx.Response(400, json={"error": {"message": "Invalid Input", "errors": ["no"]}}), True),
        (httpx.Response(400, json={"error": None}), True),
        (httpx.Response(400, json=[1]), True),
        (httpx.Response(200, text="<html>"), False),
        (httpx.Response(200, json={"incident": None}), False),
        (httpx.Response(200, json=[]), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("slow"), False),
        (httpx.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1)), True),
    ],
    ids=str,
)
def test_whatever_goes_wrong_is_unreachable(
    account: Account, answer: httpx.Response | httpx.TransportError, permanent: bool
) -> None:
    account.refusals = [answer]
    with pytest.raises(Unreachable) as error:
        line(account).incident("PX1")
    assert error.value.permanent is permanent
    assert "rest-token" not in str(error.value)


def test_a_wrong_token_is_told_as_one(account: Account) -> None:
    with pytest.raises(Unreachable, match="token") as error:
        line(account, token="wrong").incident("PX1")
    assert error.value.permanent


@pytest.mark.parametrize("id_", ["PX2", "", "../users", "PX1/merge", "PX1?x=1", "é"])
def test_an_incident_that_cannot_be_is_gone(account: Account, id_: str) -> None:
    with pytest.raises(Gone):
        line(account).incident(id_)


@pytest.mark.parametrize("url", ["http://api.pagerduty.com", "ftp://x", "", "api.pagerduty.com", "http://10.0.0.1"])
def test_a_token_is_sent_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="PAGERDUTY_API_URL"):
        PagerDuty(url, SecretStr("t"), "s")
    PagerDuty("http://127.0.0.1:9", SecretStr("t"), "s").close()


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], None),
        ([{"id": "A", "active": True, "delivery_method": {"url": "https://other/hook"}}], None),
        ([{"id": "A", "active": False, "delivery_method": {"url": "https://us/hook"}},
          {"id": "B", "active": True, "delivery_method": {"url": "https://us/hook/", "temporarily_disabled": True}}],
         ("B", True, True)),
        ([{"id": "A", "active": False, "delivery_method": {"url": "https://us/hook"}}], ("A", False, False)),
        ([{"id": "A"}, "odd", {"id": "B", "delivery_method": 7}], None),
    ],
)  # fmt: skip
def test_the_subscription_to_us_is_found(
    account: Account, rows: list[dict[str, object]], found: tuple[str, bool, bool] | None
) -> None:
    account.subscriptions = rows
    one = line(account).subscription_to("https://us/hook")
    assert (one and (one.id, one.active, one.suspended)) == found


def events(account: Account, key: str) -> Events:
    return Events("https://events.pagerduty.com", SecretStr(key), transport=account.transport())


def test_events_v2_acknowledges_and_resolves_by_key(account: Account) -> None:
    line_ = events(account, account.routing_key)
    line_.send("acknowledge", "a-dedup-key")
    assert account.incidents["PX1"].status == "acknowledged"
    line_.send("resolve", "a-dedup-key")
    line_.send("acknowledge", "a-dedup-key")
    line_.send("resolve", "nobody knows this key")
    assert (account.incidents["PX1"].status, account.incidents["PX1"].reopened) == ("resolved", 0)
    with pytest.raises(Unreachable, match="no reason given"):
        events(account, "wrong").send("resolve", "a-dedup-key")


def test_events_v2_is_limited_too(account: Account) -> None:
    account.refusals = [limited(9)]
    with pytest.raises(Busy) as busy:
        events(account, account.routing_key).send("resolve", "a-dedup-key")
    assert busy.value.after_s == 9
