from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.alertmanager.webhook import MAX_IDENTITY_CHARS, MAX_LABEL_CHARS, read
from connectors.json_document import UnusablePayload

FIXTURES = Path(__file__).parents[1] / "fixtures"


def fixture(name: str) -> bytes:
    return (FIXTURES / f"alertmanager_{name}.json").read_bytes()


def body(alert: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """The firing fixture with one alert, changed. None as a value takes the key away."""
    whole = json.loads(fixture("firing"))
    whole["alerts"] = [_without_none({**whole["alerts"][0], **(alert or {})})]
    return json.dumps(_without_none({**whole, **changes})).encode()


def _without_none(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}


# --- What is understood ------------------------------------------------------------------------------------------


def test_a_firing_group_is_read() -> None:
    group = read(fixture("firing"))
    assert group.source == "alertmanager"
    assert group.key == '{}/{severity="page"}:{alertname="CheckoutSlow"}'
    assert group.truncated == 0
    assert [alert.fingerprint for alert in group.firing] == ["a1b2c3d4e5f60710", "a1b2c3d4e5f60711"]
    first = group.alerts[0]
    assert first.starts_at == datetime(2026, 11, 21, 9, 14, 5, 125_000, tzinfo=UTC)
    assert first.ends_at is None
    assert first.labels["instance"] == "checkout-0:8080"
    assert first.annotations["summary"] == "p99 of checkout-0 is above 500 ms"
    assert first.generator_url == "http://prometheus.example.org/graph?g0.expr=p99+%3E+0.5"


def test_a_group_is_resolved_alert_by_alert() -> None:
    partly = read(fixture("partly_resolved"))
    assert (len(partly.firing), len(partly.resolved)) == (1, 1)
    assert partly.resolved[0].ends_at == partly.resolved[0].starts_at + timedelta(seconds=390)
    over = read(fixture("resolved"))
    assert not over.firing
    assert {alert.fingerprint for alert in over.resolved} == {a.fingerprint for a in read(fixture("firing")).alerts}


def test_alerts_that_were_cut_off_are_counted() -> None:
    assert read(fixture("truncated")).truncated == 37


def test_unknown_keys_are_let_through() -> None:
    assert len(read(fixture("unknown_keys")).alerts) == 1


def test_what_an_old_source_leaves_out_is_not_missed() -> None:
    group = read(fixture("sparse"))
    alert = group.alerts[0]
    assert (alert.annotations, alert.generator_url, alert.ends_at, group.truncated) == ({}, None, None, 0)
    assert alert.starts_at == datetime(2026, 11, 21, 8, 14, 5, tzinfo=UTC)


def test_without_a_fingerprint_the_labels_make_one() -> None:
    first, again = read(fixture("no_fingerprint")), read(fixture("no_fingerprint"))
    assert [a.fingerprint for a in first.alerts] == [a.fingerprint for a in again.alerts]
    assert first.alerts[0].fingerprint != first.alerts[1].fingerprint
    turned = json.loads(fixture("no_fingerprint"))
    for alert in turned["alerts"]:
        alert["labels"] = dict(reversed(alert["labels"].items()))
    assert [a.fingerprint for a in read(json.dumps(turned).encode()).alerts] == [a.fingerprint for a in first.alerts]


# --- What a column or a page cannot take -------------------------------------------------------------------------


def test_a_nul_becomes_a_mark_that_a_column_takes() -> None:
    hurt = {
        "labels": {"alertname": "a\0b", "k\0": "v"},
        "annotations": {"summary": "\0"},
        "generatorURL": "http://x/\0",
        "fingerprint": "f\0",
    }
    group = read(body(hurt, groupKey="{}:\0"))
    alert = group.alerts[0]
    assert alert.labels == {"alertname": "a\ufffdb", "k\ufffd": "v"}
    assert alert.annotations == {"summary": "\ufffd"}
    assert "\0" not in f"{alert.generator_url}{alert.fingerprint}{group.key}"


def test_a_huge_label_is_cut_and_says_so() -> None:
    alert = read(body({"labels": {"query": "x" * 100_000}})).alerts[0]
    assert len(alert.labels["query"]) < MAX_LABEL_CHARS + 20
    assert alert.labels["query"].endswith("(cut)")


@pytest.mark.parametrize("tails", [("a", "b"), ("\0", "\ufffd")])
def test_long_or_odd_keys_fit_an_index_and_stay_apart(tails: tuple[str, str]) -> None:
    keys = ["k" * 5_000 + tail for tail in tails] + [f"k{tail}" for tail in tails]
    groups = [read(body({"fingerprint": key}, groupKey=key)) for key in keys]
    assert len({group.key for group in groups}) == len(keys)
    assert len({group.alerts[0].fingerprint for group in groups}) == len(keys)
    assert all(len(group.key) <= MAX_IDENTITY_CHARS for group in groups)
    assert read(body(groupKey=keys[0])).key == groups[0].key


def test_hostile_text_is_carried_as_text() -> None:
    labels = {"alertname": "'; DROP TABLE x; --", "service": "<script>\u202e", "n": "😀"}
    assert read(body({"labels": labels})).alerts[0].labels == labels


# --- What is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"version": "4", "groupKey": "\xff"}', "not JSON"),
        (b'{"version": "4", "groupKey": "\\ud800"}', "not JSON"),
        (b'{"version": "4",', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"version": "4", "truncatedAlerts": NaN}', "not JSON"),
        (b'{"version": "4", "truncatedAlerts": 1e999}', "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"4"', "not a JSON object"),
        (b"{}", "version is a NoneType"),
        (body(version="3"), "version is '3', not '4'"),
        (body(version=4), "version is a int"),
        (body(version="\0" * 900), "version is"),
        (b'{"version": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", "nested more than 64 deep"),
        (b'{"version": [' + b"[" * 40 + b"]" * 40 + b"]}", "version is a list"),
        (b'{"version": "4", "groupKey": "a", "groupKey": "b", "alerts": []}', "the key 'groupKey' stands twice"),
        (b'{"version": "4", "x": [{"a": {"b\\u0000": 1, "b\\u0000": 2}}]}', "stands twice"),
        (body(groupKey=None), "groupKey: Field required"),
        (body(groupKey=""), "groupKey"),
        (body(groupKey=7), "groupKey"),
        (body(alerts=None), "alerts: Field required"),
        (body(alerts=[]), "alerts"),
        (body(alerts={}), "alerts"),
        (body(alerts=[1]), "alerts.0"),
        (body(truncatedAlerts=-1), "truncatedAlerts"),
        (body(truncatedAlerts=10**30), "truncatedAlerts"),
        (body(truncatedAlerts=1.5), "truncatedAlerts"),
        (body({"status": "suppressed"}), "alerts.0.status"),
        (body({"labels": {"a": 1}}), "alerts.0.labels.a"),
        (body({"labels": {"a": {"b": {}}}}), "alerts.0.labels.a"),
        (body({"labels": []}), "alerts.0.labels"),
        (body({"labels": {"k" * 100_000: 1}}), "alerts.0.labels.kkk"),
        (body({"startsAt": None}), "alerts.0.startsAt"),
        (body({"startsAt": "yesterday"}), "alerts.0.startsAt"),
        (body({"startsAt": 10**40}), "alerts.0.startsAt"),
        (body({"startsAt": "2026-13-01T00:00:00Z"}), "alerts.0.startsAt"),
        (body({"startsAt": "0001-01-01T00:00:00+14:00"}), "outside the years"),
        (body({"endsAt": "9999-12-31T23:59:59-12:00"}), "outside the years"),
        (body({"fingerprint": 5}), "alerts.0.fingerprint"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_anything_else_is_refused_with_its_reason(payload: bytes, says: str) -> None:
    with pytest.raises(UnusablePayload) as refused:
        read(payload)
    reason = str(refused.value)
    assert says in reason
    assert len(reason) < 400
    assert "\0" not in reason


def taken_or_refused(payload: bytes) -> None:
    try:
        group = read(payload)
    except UnusablePayload as refused:
        assert str(refused)  # noqa: PT017 every refusal has a reason
    else:
        texts = [group.key]
        for alert in group.alerts:
            texts += [alert.fingerprint, alert.generator_url or "", *alert.labels, *alert.labels.values()]
            assert alert.starts_at.tzinfo is UTC
        assert not any("\0" in text for text in texts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
times = st.sampled_from(["2026-11-21T09:14:05Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
near = st.fixed_dictionaries(
    {"version": st.just("4")},
    optional={
        "groupKey": st.text() | json_values,
        "truncatedAlerts": json_values,
        "alerts": json_values
        | st.lists(
            st.fixed_dictionaries(
                {
                    "status": st.sampled_from(["firing", "resolved"]) | json_values,
                    "labels": st.dictionaries(st.text(max_size=5), st.text(max_size=9)) | json_values,
                    "startsAt": times | json_values,
                },
                optional={
                    "annotations": json_values,
                    "endsAt": times | json_values,
                    "generatorURL": json_values,
                    "fingerprint": json_values,
                },
            ),
            max_size=3,
        ),
    },
)


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"{" * 3_000)
def test_no_bytes_make_it_fail(payload: bytes) -> None:
    taken_or_refused(payload)


@settings(max_examples=200, deadline=None)
@given(json_values | near)
def test_no_json_makes_it_fail(document: Any) -> None:
    taken_or_refused(json.dumps(document).encode())
