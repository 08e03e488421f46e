from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.generic import ending, read
from connectors.json_document import UnusablePayload
from service.configuration import JsonMapping

CAME = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MAPPING = JsonMapping(
    alertname="check", alerts="events", status="state", id="event.id", starts_at="since", summary="output",
    labels={"service": "host.tags.0.service", "severity": "level"}, fixed_labels={"environment": "production"},
)  # fmt: skip
EVENT = {
    "check": "disk", "state": "CRITICAL", "event": {"id": 77}, "since": "2026-11-21T11:59:00Z", "output": "95 % full",
    "host": {"tags": [{"service": "checkout"}]}, "level": 2,
}  # fmt: skip


def taken(*events: Any, mapping: JsonMapping = MAPPING) -> Any:
    return read(json.dumps({"events": list(events)}).encode(), "nagios", mapping, CAME)


def test_the_mapping_says_where_everything_is() -> None:
    group = taken(EVENT)
    (alert,) = group.firing
    assert (group.source, group.key, alert.fingerprint) == ("nagios", "disk", "77")
    assert alert.labels == {
        "alertname": "disk", "service": "checkout", "severity": "2", "environment": "production",
    }  # fmt: skip
    assert alert.annotations == {"summary": "95 % full"}
    assert alert.starts_at == CAME - timedelta(minutes=1)


def test_a_resolved_one_ends_when_it_came() -> None:
    (alert,) = taken({**EVENT, "state": "ok"}).resolved
    assert alert.ends_at == CAME


def test_one_document_is_one_alert_and_without_a_status_it_fires() -> None:
    group = read(b'{"name": "x"}', "s", JsonMapping(alertname="name"), CAME)
    assert [alert.labels for alert in group.firing] == [{"alertname": "x"}]
    assert group.firing[0].starts_at == CAME


def test_without_an_id_the_labels_are_the_identity() -> None:
    mapping = MAPPING.model_copy(update={"id": None})
    one, same = taken(EVENT, mapping=mapping), taken({**EVENT, "output": "96 % full"}, mapping=mapping)
    other = taken({**EVENT, "level": 3}, mapping=mapping)
    assert one.alerts[0].fingerprint == same.alerts[0].fingerprint != other.alerts[0].fingerprint


@pytest.mark.parametrize(
    ("since", "at"),
    [
        (1_790_000_000, datetime.fromtimestamp(1_790_000_000, UTC)),
        (1_790_000_000_500, datetime.fromtimestamp(1_790_000_000.5, UTC)),
        ("2026-11-21T12:00:00+02:00", CAME - timedelta(hours=2)),
        ("yesterday", CAME),
        (None, CAME),
        (True, CAME),
        (10**30, CAME),
        ([], CAME),
        ("0001-01-01T00:00:00+14:00", CAME),
    ],
)
def test_a_time_is_read_or_it_is_when_it_came(since: Any, at: datetime) -> None:
    assert taken({**EVENT, "since": since}).firing[0].starts_at == at


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "not a list"),
        ([{**EVENT, "check": None}], "check: nothing is there"),
        ([{**EVENT, "state": "odd"}], "in neither"),
        ([7], "check"),
        ([EVENT] * 10_001, "more than"),
    ],
)
def test_what_the_mapping_cannot_read_is_refused_with_its_path(events: list[Any], says: str) -> None:
    with pytest.raises(UnusablePayload, match=says):
        taken(*events)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["check", "state", "event", "id"]), inner)
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_json_makes_it_fail(document: Any) -> None:
    try:
        group = taken(document)
    except UnusablePayload as refused:
        assert str(refused)  # noqa: PT017 every refusal has a reason
    else:
        assert all(alert.labels["alertname"] for alert in group.alerts)


# --- A body that ends an alert, for a test of the whole way --------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alerts": None},
        {"alerts": "a.b.0.c"},
        {"status": "a.0.state", "alertname": "a.0.name", "id": None},
        {"status": "check"},
        {"resolved": ("ÄUß", "fine")},
    ],
)
def test_an_ending_is_read_as_one(changes: dict[str, Any]) -> None:
    mapping = MAPPING.model_copy(update=changes)
    group = read(ending(mapping, "StanchTest", "test-1"), "nagios", mapping, CAME)
    assert group.firing == ()
    (over,) = group.resolved
    assert over.fingerprint == "test-1" or mapping.id is None
    assert over.labels["alertname"] in {"StanchTest", *mapping.resolved}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": None}, "no status"),
        ({"resolved": ()}, "no status"),
        ({"resolved": ("down",)}, "fire"),
        ({"status": "state", "alertname": "state.name"}, "state"),
        ({"status": "state.now", "alertname": "state"}, "state"),
    ],
)
def test_a_mapping_that_knows_no_end_has_no_ending(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ending(MAPPING.model_copy(update=changes), "StanchTest", "test-1")
