from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from connectors.slack import messages
from connectors.slack.client import NEEDED_SCOPES, Refused, Slack, TooFast
from connectors.slack.people import Known, People, Stranger
from connectors.slack.picture import Line, png
from connectors.unreachable import Unreachable
from lab.slack.workspace import BOT, BOT_TOKEN, CHANNEL, TEAM, Posted, Workspace
from tests.connectors.slack.examples import AT, case

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    made.start()
    yield made
    made.stop()


def at(workspace: Workspace, token: str = BOT_TOKEN) -> Slack:
    return Slack.at(token, workspace.api_url)


def test_a_message_is_posted_changed_and_answered_in_its_thread(workspace: Workspace) -> None:
    workspace.limited = False
    slack = at(workspace)
    ts = slack.post(CHANNEL, messages.incident(case()))
    slack.update(CHANNEL, ts, messages.unshown(case()))
    slack.post(CHANNEL, messages.timeline(case(), [(AT, "api", "told")]), thread_ts=ts)
    root, reply = workspace.messages
    assert "its page" in str(root.blocks)
    assert reply.thread_ts == root.ts


def test_a_message_is_found_by_its_mark_among_others_and_pages(workspace: Workspace) -> None:
    workspace.limited = False
    slack, mark = at(workspace), {"incident": "7", "kind": "incident", "ref": "", "nonce": "n1"}
    since = time.time()
    ts = slack.post(CHANNEL, messages.incident(case()), mark=mark)
    others = [Posted(CHANNEL, f"{int(time.time()) + 1}.{number:06d}", "more", []) for number in range(250)]
    workspace.messages.extend(others)
    assert slack.find(CHANNEL, mark, thread_ts=None, since_s=since) == ts
    assert slack.find(CHANNEL, {**mark, "nonce": "n2"}, thread_ts=None, since_s=since) is None
    assert slack.find(CHANNEL, mark, thread_ts=None, since_s=since + 3600) is None
    reply = slack.post(
        CHANNEL, messages.timeline(case(), [(AT, "api", "told")]), thread_ts=ts, mark=mark | {"ref": "0"}
    )
    assert slack.find(CHANNEL, mark | {"ref": "0"}, thread_ts=ts, since_s=since) == reply
    assert slack.find(CHANNEL, mark | {"ref": "0"}, thread_ts=None, since_s=since) is None


def test_a_file_is_found_in_its_thread_by_its_name(workspace: Workspace) -> None:
    slack = at(workspace)
    since, ts = time.time(), slack.post(CHANNEL, messages.incident(case()))
    slack.upload(CHANNEL, ts, "chart.png", "what moved", b"png")
    assert slack.find_file(CHANNEL, ts, "chart.png", since_s=since)
    assert not slack.find_file(CHANNEL, ts, "other.png", since_s=since)


def test_looking_without_the_scope_is_refused_by_name(workspace: Workspace) -> None:
    workspace.scopes = "chat:write"
    with pytest.raises(Refused) as raised:
        at(workspace).find(CHANNEL, {"nonce": "n"}, thread_ts=None, since_s=0.0)
    assert raised.value.error == "missing_scope"


def test_a_file_goes_into_the_thread_by_the_three_calls(workspace: Workspace) -> None:
    slack = at(workspace)
    ts = slack.post(CHANNEL, messages.incident(case()))
    picture = png([Line("p99", [0.0, 5.0, 10.0], [0.2, None, 4.0], "s", 1.0)], marks=[(4.0, 6.0)])
    assert picture is not None
    slack.upload(CHANNEL, ts, "chart.png", "what moved", picture)
    (file,) = workspace.files
    assert (file["content"], file["thread_ts"], file["title"]) == (picture, ts, "what moved")
    assert [call[1] for call in workspace.calls[1:]] == ["files.getUploadURLExternal", "files.completeUploadExternal"]


def test_too_fast_says_how_long_to_wait(workspace: Workspace) -> None:
    slack = at(workspace)
    slack.post(CHANNEL, messages.incident(case()))
    with pytest.raises(TooFast) as raised:
        slack.post(CHANNEL, messages.incident(case()))
    assert raised.value.wait_s >= 1


@pytest.mark.parametrize(
    ("error", "permanent"),
    [("channel_not_found", True), ("token_revoked", True), ("missing_scope", True), ("internal_error", False),
     ("message_not_found", False)],
)  # fmt: skip
def test_a_no_in_http_200_is_a_refusal_with_slacks_word_for_it(
    workspace: Workspace,
    error: str,
    permanent: bool,
) -> None:
    workspace.broken["chat.update"] = error
    with pytest.raises(Refused) as raised:
        at(workspace).update(CHANNEL, "1.1", messages.incident(case()))
    assert (raised.value.error, raised.value.permanent) == (error, permanent)


@pytest.mark.parametrize("how", ["http 503", "http 502", "drop"])
def test_an_outage_is_unreachable_and_no_refusal(workspace: Workspace, how: str) -> None:
    workspace.broken["*"] = how
    with pytest.raises(Unreachable) as raised:
        at(workspace).post(CHANNEL, messages.incident(case()))
    assert not isinstance(raised.value, Refused)
    assert not raised.value.permanent


def test_no_error_repeats_the_token(workspace: Workspace) -> None:
    for token in ("xoxb-very-secret", BOT_TOKEN):
        for how in ("", "http 503", "drop", "invalid_auth"):
            workspace.broken["chat.postMessage"] = how
            if token == BOT_TOKEN and not how:
                continue
            with pytest.raises(Unreachable) as raised:
                at(workspace, token).post(CHANNEL, messages.incident(case()))
            assert token not in str(raised.value)
            assert raised.value.__cause__ is None
    assert "xoxb" not in repr(at(workspace))


def test_it_says_who_it_is_and_what_it_may(workspace: Workspace) -> None:
    me, scopes = at(workspace).who_am_i()
    assert (me["team_id"], me["user_id"]) == (TEAM, BOT)
    assert set(NEEDED_SCOPES) <= scopes


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://hooks.slack.com/actions/T1/1/x", True),
        ("http://hooks.slack.com/actions/T1/1/x", False),
        ("https://hooks.slack.com.evil.example/x", False),
        ("https://hooks.slack.com@evil.example/x", False),
        ("https://evil.example/hooks.slack.com", False),
        ("https://hooks.slack.com:8443/x", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_answers_go_to_slacks_own_host_only(url: str, ours: bool) -> None:
    slack = Slack.at(BOT_TOKEN)
    assert slack.may_answer(url) is ours
    if not ours:
        with pytest.raises(Unreachable):
            slack.answer(url, "x")


@pytest.mark.parametrize("url", ["http://slack.com/api/", "ftp://slack.com/", "http://10.0.0.1/api/"])
def test_a_token_does_not_travel_in_the_open(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Slack.at(BOT_TOKEN, url)


def test_an_upload_goes_nowhere_else(workspace: Workspace) -> None:
    slack = at(workspace)
    with pytest.raises(Unreachable):
        slack._put("https://slack.com.evil.example/upload", b"x")
    with pytest.raises(Unreachable):
        slack._put("http://169.254.169.254/", b"x")


def test_people_are_known_by_our_list_and_confirmed_by_slack(workspace: Workspace) -> None:
    people = People(TEAM, {"U0ADA": "ada@example.com"})
    workspace.add("U0ADA")
    known = people.known(TEAM, "U0ADA")
    assert known == Known("ada@example.com", "U0ADA")
    assert people.confirmed(Known("ada@example.com", "U0ADA"), at(workspace)) == known
    assert isinstance(people.known(TEAM, "U0EVE"), Stranger)
    assert isinstance(people.known("T0OTHER", "U0ADA"), Stranger)
    assert isinstance(People("", {"U0ADA": "ada"}).known("", "U0ADA"), Stranger)
    assert isinstance(people.confirmed(Known("x", "U0GONE"), at(workspace)), Stranger)
    assert people.user_of("ada@example.com") == "U0ADA"


def test_a_picture_of_nothing_is_none_and_of_anything_is_a_png() -> None:
    assert png([]) is None
    assert png([Line("x", [1.0, 2.0], [None, None])]) is None
    for values in ([0.0, 0.0], [-5.0, 3.0], [1e300, 1e-300], [7.0, None]):
        made = png([Line("\u202e<name>" * 100, [0.0, 0.5], values, "u", -1.0)] * 6, marks=[(-1e9, 1e9)])
        assert made is not None
        assert made.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(made) < 100_000
