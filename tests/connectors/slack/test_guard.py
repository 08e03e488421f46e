from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.slack.guard import MAX_BODY_BYTES, Genuine, Guard, Turned, signature
from lab.slack.workspace import SIGNING_SECRET, signed

NOW = 1_800_000_000.0
BODY = b"payload=%7B%7D"


def headers(body: bytes = BODY, *, at_s: float = NOW, changes: dict[str, str] | None = None) -> dict[str, str]:
    return {**{name.lower(): value for name, value in signed(body, at_s=at_s).items()}, **(changes or {})}


def test_slacks_own_example_has_the_signature_slack_gives() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack: 'A step-by-step example'."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
        b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015."
        b"47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signature("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body) == expected


def test_a_genuine_request_passes_once() -> None:
    guard = Guard(SIGNING_SECRET)
    passed = guard.check(headers(), BODY, NOW)
    assert isinstance(passed, Genuine)
    assert passed.body == BODY.decode()
    assert guard.check(headers(), BODY, NOW + 1) == Turned(401, "replayed")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-slack-request-timestamp", "abc"),
        ("x-slack-request-timestamp", "1e9"),
        ("x-slack-request-timestamp", ""),
        ("x-slack-request-timestamp", "-1800000000"),
        ("x-slack-request-timestamp", "9" * 400),
        ("x-slack-request-timestamp", "١٨٠٠٠٠٠٠٠٠"),
        ("x-slack-signature", ""),
        ("x-slack-signature", "v0=zz"),
        ("x-slack-signature", "v1=" + "0" * 64),
        ("x-slack-signature", "v0=" + "0" * 64),
        ("x-slack-signature", "v0=" + "ä" * 64),
    ],
)
def test_malformed_and_wrong_headers_are_turned_away(name: str, value: str) -> None:
    turned = Guard(SIGNING_SECRET).check(headers(changes={name: value}), BODY, NOW)
    assert isinstance(turned, Turned)
    assert turned.status == 401


@pytest.mark.parametrize(("age_s", "passes"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)])
def test_a_request_is_good_for_five_minutes(age_s: float, passes: bool) -> None:
    checked = Guard(SIGNING_SECRET).check(headers(), BODY, NOW + age_s)
    assert isinstance(checked, Genuine) is passes


def test_another_secret_a_changed_body_and_another_time_are_turned_away() -> None:
    assert isinstance(Guard("another").check(headers(), BODY, NOW), Turned)
    assert isinstance(Guard(SIGNING_SECRET).check(headers(), BODY + b"x", NOW), Turned)
    moved = headers(changes={"x-slack-request-timestamp": str(int(NOW) + 1)})
    assert isinstance(Guard(SIGNING_SECRET).check(moved, BODY, NOW), Turned)


def test_bytes_that_are_no_text_and_bodies_too_large_are_turned_away() -> None:
    assert Guard(SIGNING_SECRET).check(headers(b"\xff\xfe"), b"\xff\xfe", NOW) == Turned(401, "not UTF-8")
    large = b"x" * (MAX_BODY_BYTES + 1)
    assert Guard(SIGNING_SECRET).check(headers(large), large, NOW) == Turned(413, "too large")


def test_json_is_no_interaction() -> None:
    turned = Guard(SIGNING_SECRET).check(headers(changes={"content-type": "application/json"}), BODY, NOW)
    assert turned == Turned(415, "not a form")


def test_the_memory_of_requests_forgets_what_is_too_old_anyway() -> None:
    guard = Guard(SIGNING_SECRET)
    for second in range(0, 3000, 10):
        body = b"%d" % second
        assert isinstance(guard.check(headers(body, at_s=NOW + second), body, NOW + second), Genuine)
    assert len(guard._seen) <= 62


@given(st.dictionaries(st.sampled_from(["x-slack-request-timestamp", "x-slack-signature", "content-type"]), st.text()),
       st.binary(max_size=200))  # fmt: skip
def test_nothing_that_comes_in_breaks_it(sent: dict[str, str], body: bytes) -> None:
    assert isinstance(Guard(SIGNING_SECRET).check(sent, body, NOW), Turned)
