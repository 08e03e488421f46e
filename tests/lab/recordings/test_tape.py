from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from agent.database.checks import CHECKS
from agent.database.limits import Limits
from agent.database.readings import Readings
from agent.database.snapshot import Activity, NotVisible
from agent.ports import NoData, Rule
from connectors.unreachable import Unreachable
from lab.recordings.capture import ALL_READINGS, asked, elsewhere, plain
from lab.recordings.full import around, as_rank_case, recomputed
from lab.recordings.tape import RecordedMetrics, RecordedReader, SharedLook
from tests.agent.database.examples import ORDERS, QUERY, SCAN, sample
from tests.agent.database.test_checks import Shop
from tests.lab.recordings.examples import FIRED_AT, recording

HIDDEN = NotVisible("sessions", "no right", "GRANT pg_monitor TO diagnose")


def _look(**answers: object) -> SharedLook:
    taken = dict.fromkeys(ALL_READINGS, ()) | {"sessions": HIDDEN}
    readings = Readings(150_018, "shop", in_recovery=False, window_s=3.0, now=taken, before={"statements": ()})
    return SharedLook(Shop(**answers), readings, sample())


def test_what_was_asked_of_a_target_is_answered_the_same_from_the_tape() -> None:
    live = _look()
    answers = asked(live)
    again = asked(RecordedReader(json.loads(json.dumps(live.tape, allow_nan=False))))

    assert set(answers) == {f"database:{name}" for name in CHECKS}
    assert answers["database:index_would_help"].data["columns"] == ["customer_id", "created_at"]
    assert {name: (one.status, one.summary, one.data) for name, one in again.items()} == {
        name: (one.status, one.summary, one.data) for name, one in answers.items()
    }


def test_the_sample_of_a_look_is_not_taken_again() -> None:
    live = Shop()
    asked(SharedLook(live, Readings(150_018, "shop", in_recovery=False, window_s=3.0, now={}), sample()))

    assert live.samples == 0


def test_a_check_without_a_window_sees_no_counters() -> None:
    look = _look()

    assert look.readings(("statements",), 3.0, Limits()).before == {"statements": ()}
    assert look.readings(("statements",), 0.0, Limits()).before == {}
    assert look.readings(("statements",), 0.0, Limits()).window_s == 0.0


def test_what_was_not_recorded_is_not_visible() -> None:
    empty = RecordedReader({})

    assert isinstance(empty.explain(QUERY), NotVisible)
    assert isinstance(empty.table_facts("public", "orders"), NotVisible)
    assert isinstance(empty.what_if(QUERY, "public", "orders", ["a"]), NotVisible)
    assert isinstance(empty.asked("sessions", {}), NotVisible)
    assert isinstance(empty.invalid_indexes(), NotVisible)
    assert isinstance(empty.qualified(QUERY), NotVisible)
    assert isinstance(empty.explain_with(QUERY, ["1"]), NotVisible)
    assert isinstance(empty.compared(QUERY, QUERY), NotVisible)
    assert isinstance(empty.readings(("sessions",), 3.0, Limits()).rows("sessions"), NotVisible)
    assert empty.workload(3.0).not_visible
    assert empty.activity().not_visible


def test_each_answer_is_kept_for_its_own_question() -> None:
    look = _look()
    look.explain(QUERY, "shop_app")
    look.table_facts("public", "orders")
    told = RecordedReader(json.loads(json.dumps(look.tape)))

    assert told.explain(QUERY, "shop_app") == SCAN
    assert told.table_facts("public", "orders") == ORDERS
    assert isinstance(told.explain(QUERY, "somebody"), NotVisible)


class Gone(Shop):
    def activity(self) -> Activity:
        raise Unreachable("orders-db", "too many connections")


def test_a_target_that_goes_away_leaves_the_other_answers() -> None:
    readings = Readings(150_018, "shop", in_recovery=False, window_s=3.0, now={})
    answers = asked(SharedLook(Gone(), readings, sample()))

    assert answers["database:lock_waits"].status == "not_visible"
    assert "too many connections" in answers["database:lock_waits"].summary
    assert answers["database:workload_sample"].status == "yes"


def test_what_a_check_cost_holds_what_was_taken_for_it() -> None:
    answers = asked(_look(), {"workload_sample": 3.2})

    assert answers["database:workload_sample"].seconds >= 3.2


# --- Metrics -----------------------------------------------------------------------------------------------------


def _metrics() -> RecordedMetrics:
    return RecordedMetrics(recording("a-001"))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(FIRED_AT + seconds, UTC)


def test_recorded_samples_are_given_for_the_time_asked() -> None:
    found = _metrics().query_range("mean", _at(-40), _at(-31), 1.0)

    assert not isinstance(found, NoData)
    assert [one.labels["service"] for one in found] == ["storefront", "orders", "orders-db"]
    assert len(found[0].times) == 10
    assert np.isnan(found[0].values[2])


def test_another_query_or_another_time_has_no_data() -> None:
    assert isinstance(_metrics().query_range("other", _at(-40), _at(0), 1.0), NoData)
    assert isinstance(_metrics().query_range("mean", _at(900), _at(950), 1.0), NoData)


def test_the_alerts_rule_is_the_recorded_one() -> None:
    assert _metrics().rule("StorefrontSlow", {}) == Rule("StorefrontSlow", "p99 > 0.5", 5.0)
    assert _metrics().rule("Other", {}) is None
    assert _metrics().active_since("StorefrontSlow", {}) == _at(-15)
    assert _metrics().active_since("Other", {}) is None


def test_a_recording_is_answered_anew_by_todays_code() -> None:
    look = _look()
    asked(look)
    made = replace(recording("a-001"), tape=(look.tape, look.tape))
    case = recomputed(made)

    assert case.answers["database:index_would_help"][0].data["columns"] == ["customer_id", "created_at"]
    assert case.answers["causal:any_leads"][0].data["services"]
    assert case.answers["database:lock_waits"][0].seconds == made.answers["database:lock_waits"][0].seconds


def test_where_the_target_was_gone_the_recorded_answers_stay() -> None:
    made = recording("a-001")

    assert recomputed(made).answers["database:lock_waits"] == made.answers["database:lock_waits"]


def test_the_baselines_get_the_frame_as_of_the_first_look() -> None:
    ranked = as_rank_case(recording("a-001"))

    assert ranked is not None
    assert ranked.target == "storefront|alert signal"
    assert float(ranked.frame.times[-1]) <= FIRED_AT + 1
    assert around(recording("a-001")).impact_start - around(recording("a-001")).start == timedelta(seconds=30)


def test_what_json_has_no_word_for_becomes_null_or_text() -> None:
    data = {"a": float("nan"), "b": (1, float("inf")), 3: datetime(2026, 1, 1, tzinfo=UTC)}

    assert plain(data) == {"a": None, "b": [1, None], "3": "2026-01-01T00:00:00+00:00"}


def test_where_the_lab_lay_is_not_recorded() -> None:
    data = {"disk": [{"path": "/home/me/lab/target/data", "free_bytes": 3}], "why": "no /home/me/lab here"}

    assert elsewhere(data, "/home/me/lab") == {
        "disk": [{"path": "/lab/target/data", "free_bytes": 3}],
        "why": "no /lab here",
    }
