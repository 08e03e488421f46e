from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent.replay.case import Said
from guardrails.action import action_from_params
from lab.faults import FAULTS
from lab.recordings.library import Manifest
from lab.recordings.listener import Listener
from lab.recordings.record import EACH, MORE_FOR_SHARED, TRIES_MISSED, chosen, must_have, plan, proposed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.faults import Change, Surroundings


@dataclass(frozen=True, slots=True)
class OfPaper:
    """A fault that breaks nothing."""

    name: str
    mechanism_id: str
    alerts: tuple[str, ...]
    component: str = "orders-db"
    mechanism: str = "of paper"
    expected_action: str | None = "cancel_backend"
    change: Change | None = None
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        raise NotImplementedError

    def undo(self, lab: Surroundings) -> None:
        raise NotImplementedError


SHARED = (OfPaper("a", "missing_index", ("Slow",)), OfPaper("b", "runaway_query", ("Slow", "Busy")))
ALONE = OfPaper("c", "temp_file_spill", ("Temp",))
ALL = (*SHARED, ALONE)


def _row(fault: str, seed: int, **more: object) -> dict[str, object]:
    return {"fault": fault, "seed": seed, "file": f"{fault}-{seed:03d}.json.gz", "sha256": "", **more}


def _ids(manifest: Manifest, count: int | None = None) -> list[str]:
    return [attempt.id for attempt in plan(ALL, manifest, count)]


# --- What is still to record -----------------------------------------------------------------------------------


def test_faults_take_turns_and_those_that_share_an_alert_get_more() -> None:
    ids = _ids(Manifest())

    assert ids[:4] == ["a-001", "b-001", "c-001", "a-002"]
    assert sum(one.startswith("a") for one in ids) == EACH + MORE_FOR_SHARED
    assert sum(one.startswith("c") for one in ids) == EACH


def test_what_is_recorded_is_not_recorded_again() -> None:
    done = Manifest([_row("a", 1), _row("a", 2), _row("c", 1)], [])

    ids = _ids(done)

    assert "a-001" not in ids
    assert ids[:2] == ["b-001", "b-002"]
    assert len(ids) == 2 * (EACH + MORE_FOR_SHARED) + EACH - 3


def test_a_missed_try_is_followed_by_another_seed() -> None:
    assert _ids(Manifest([], [_row("a", 1)]))[0] == "a-002"


def test_a_fault_that_never_raises_its_alert_is_left_alone() -> None:
    never = Manifest([], [_row("c", seed) for seed in range(1, TRIES_MISSED + 2)])

    assert not any(one.startswith("c") for one in _ids(never))
    assert plan([ALONE], never, anyway=True)[0].id == "c-004"


def test_a_lab_that_failed_is_not_the_faults_miss() -> None:
    failed = Manifest([], [_row("c", seed, lab_failed=True) for seed in range(1, 9)])

    assert "c-001" in _ids(failed)


def test_count_is_how_many_there_shall_be_in_all() -> None:
    assert len(_ids(Manifest([_row("a", 1)], []), count=4)) == 3
    assert _ids(Manifest([_row("a", 1)], []), count=1) == []
    assert plan((), Manifest(), 3) == ()


def test_an_unknown_fault_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there are: "):
        chosen(["no-such-fault"])
    assert chosen([]) == FAULTS


# --- The repair ------------------------------------------------------------------------------------------------

SESSION: Mapping[str, Any] = {"pid": 77, "backend_start": "2026-11-22T04:00:00+00:00", "query_sha256": "a" * 64}


def _found(kind: str, params: Mapping[str, Any], status: str = "yes") -> Said:
    data = {"findings": [{"action": {"kind": kind, "params": params}}]}
    return Said(status, "", data, 0.1)  # type: ignore[arg-type]  # the test's own words


def test_the_expected_action_is_taken_from_its_own_mechanisms_findings_first() -> None:
    fault = OfPaper("x", "runaway_query", ("Slow",))
    answers = {
        "database:aaa": _found("cancel_backend", {**SESSION, "pid": 1}),
        "database:runaway_query": _found("cancel_backend", SESSION),
    }

    assert proposed(fault, answers) == action_from_params("cancel_backend", SESSION)


def test_another_kind_or_parameters_that_build_nothing_are_no_proposal() -> None:
    fault = OfPaper("x", "runaway_query", ("Slow",))

    assert proposed(fault, {"database:runaway_query": _found("analyze_table", {"schema": "public"})}) is None
    assert proposed(fault, {"database:runaway_query": _found("cancel_backend", {"pid": "all"})}) is None
    assert proposed(fault, {"database:runaway_query": _found("cancel_backend", SESSION, status="no")}) is None


def test_where_its_own_mechanism_proposes_another_action_the_expected_one_takes_its_names() -> None:
    fault = OfPaper("x", "invalid_index", ("Slow",), expected_action="reindex_index_concurrently")
    names = {"schema": "public", "table": "orders", "index": "orders_idx"}
    answers = {"database:invalid_index": _found("drop_index_concurrently", {**names, "columns": ["a"]})}

    assert proposed(fault, answers) == action_from_params("reindex_index_concurrently", names)
    assert proposed(fault, {"database:bloat": answers["database:invalid_index"]}) is None


def test_a_session_that_comes_anew_is_not_part_of_the_truth() -> None:
    action = action_from_params("cancel_backend", SESSION)
    other = action_from_params("cancel_backend", {**SESSION, "pid": 78})

    assert must_have([action, action], action) == {"pid": 77}
    assert must_have([action, other], action) == {}
    assert must_have([action, None], action) == {}


def test_a_table_is_part_of_the_truth_and_its_columns_are_not() -> None:
    action = action_from_params("create_index_concurrently", {"schema": "public", "table": "orders", "columns": ["a"]})
    wider = action_from_params(
        "create_index_concurrently", {"schema": "public", "table": "orders", "columns": ["a", "b"]}
    )

    assert must_have([action, wider], action) == {"schema": "public", "table": "orders"}


# --- Listening -------------------------------------------------------------------------------------------------


def _post(listener: Listener, path: str, body: object) -> int:
    return httpx.post(f"http://127.0.0.1:{listener.port}{path}", json=body, trust_env=False).status_code


def _alert(name: str, status: str = "firing") -> dict[str, object]:
    return {"status": status, "labels": {"alertname": name}, "startsAt": "2026-11-22T04:00:00Z"}


def test_the_first_alert_that_fires_is_heard() -> None:
    with Listener() as listener:
        assert _post(listener, "/webhooks/alertmanager", {"alerts": [_alert("Old", "resolved"), _alert("New")]}) == 202

        heard = listener.first_alert(5.0)

    assert heard is not None
    assert heard.labels == {"alertname": "New"}
    assert heard.fired_at == 1_795_320_000.0


def test_whoever_waits_is_woken_by_the_alert() -> None:
    with Listener() as listener:
        sending = threading.Timer(0.1, _post, (listener, "/webhooks/alertmanager", {"alerts": [_alert("A")]}))
        sending.start()
        heard = listener.first_alert(10.0)
        sending.join()

    assert heard is not None


def test_without_an_alert_the_wait_ends_with_nothing() -> None:
    with Listener() as listener:
        assert listener.first_alert(0.05) is None


def test_of_each_alert_the_first_is_kept() -> None:
    with Listener() as listener:
        for names in (("A", "B"), ("A",)):
            _post(listener, "/webhooks/alertmanager", {"alerts": [_alert(name) for name in names]})

        assert [one.name for one in listener.alerts()] == ["A", "B"]


def test_what_was_heard_before_is_forgotten() -> None:
    with Listener() as listener:
        _post(listener, "/webhooks/alertmanager", {"alerts": [_alert("A")]})
        _post(listener, "/webhooks/changes", {"service": "orders", "version": "2", "summary": "a deploy"})
        assert [one.summary for one in listener.changes()] == ["a deploy"]
        listener.clear()

        assert listener.changes() == ()
        assert listener.first_alert(0.0) is None


@pytest.mark.parametrize("body", [None, [], {"alerts": 3}, {"alerts": [{}]}, {"alerts": [{"status": "firing"}]}])
def test_what_nobody_of_the_lab_sends_is_refused(body: object) -> None:
    with Listener() as listener:
        assert _post(listener, "/webhooks/alertmanager", body) == 400
        assert _post(listener, "/webhooks/changes", body) == 400
        assert listener.first_alert(0.0) is None
