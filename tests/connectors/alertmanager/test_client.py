from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.alertmanager.client import MAX_ANSWER_BYTES, Alertmanager, Matchers
from connectors.unreachable import Unreachable

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def answering(*answers: httpx.Response | httpx.TransportError) -> tuple[Alertmanager, list[httpx.Request]]:
    left, asked = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        one = left.pop(0)
        if isinstance(one, httpx.TransportError):
            raise one
        return one

    return Alertmanager("http://user:hunter2@alertmanager:9093/prefix/", transport=httpx.MockTransport(answer)), asked


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        (httpx.Response(302, headers={"Location": "http://169.254.169.254/"}), True),
        (httpx.Response(401), True),
        (httpx.Response(422, json={"code": 612, "message": "matchers in body should have at least 1 items"}), True),
        (httpx.Response(400, json="bad silence: end time must not be before start time"), True),
        (httpx.Response(503, text="not ready"), False),
        (httpx.Response(200, text="<html>"), False),
        (httpx.Response(200, content=b"1" * (MAX_ANSWER_BYTES + 1)), True),
        (httpx.ConnectTimeout("slow"), False),
    ],
    ids=str,
)
def test_whatever_goes_wrong_is_unreachable_and_shows_no_password(
    answer: httpx.Response | httpx.TransportError, permanent: bool
) -> None:
    api, asked = answering(answer)
    with pytest.raises(Unreachable) as error:
        api.version()
    assert error.value.permanent is permanent
    assert "hunter2" not in str(error.value)
    assert len(asked) == 1


def test_a_silence_is_asked_for_as_the_api_wants_it() -> None:
    api, asked = answering(httpx.Response(200, json={"silenceID": "dc736f92"}))
    made = api.silence(Matchers({"alertname": "A", "service": "s"}), NOW, NOW + timedelta(hours=1), "why")
    assert made == "dc736f92"
    assert asked[0].url.path == "/prefix/api/v2/silences"
    assert httpx.Response(200, content=asked[0].content).json() == {
        "matchers": [
            {"name": "alertname", "value": "A", "isRegex": False, "isEqual": True},
            {"name": "service", "value": "s", "isRegex": False, "isEqual": True},
        ],
        "startsAt": "2026-11-21T12:00:00+00:00",
        "endsAt": "2026-11-21T13:00:00+00:00",
        "createdBy": "stanch",
        "comment": "why",
    }


@pytest.mark.parametrize("body", [{}, [], None, {"silenceID": ""}, {"silenceID": 7}])
def test_an_answer_without_an_id_is_no_silence(body: object) -> None:
    api, _ = answering(httpx.Response(200, json=body))
    with pytest.raises(Unreachable, match="without an id"):
        api.silence(Matchers({"alertname": "A", "service": "s"}), NOW, NOW + timedelta(hours=1), "why")


def test_only_ours_that_are_in_force_are_taken_over() -> None:
    def row(id_: str, state: str = "active", by: str = "stanch", comment: str = "INC-1") -> dict[str, object]:
        matchers = [{"name": "alertname", "value": "A", "isRegex": False}]
        return {"id": id_, "status": {"state": state}, "createdBy": by, "comment": comment, "matchers": matchers}

    rows = [row("a"), row("b", state="expired"), row("c", by="ada"), row("d", comment="INC-11"), row("e", "pending"), 7]
    api, _ = answering(httpx.Response(200, json=rows))
    assert api.silences_of("INC-1") == {"a": {"alertname": "A"}, "e": {"alertname": "A"}}


def test_a_name_with_quotes_stays_one_name() -> None:
    api, asked = answering(httpx.Response(200, json=[{"fingerprint": "f1"}]))
    assert api.fingerprints('a"} , x="') == {"f1"}
    assert asked[0].url.params["filter"] == 'alertname="a\\"} , x=\\""'
