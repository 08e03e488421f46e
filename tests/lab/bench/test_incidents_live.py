"""What a live run's line and the summary say, from incidents as the API tells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import click
import pytest

from lab.bench.incidents_live import Watch, line, live, own_work_seconds, summary, usual
from lab.demo import Run
from lab.faults import FAULTS, named

if TYPE_CHECKING:
    from lab.production import Production

_FAULT = named("missing-index")


def _at(second: float) -> str:
    return datetime.fromtimestamp(1000.0 + second, UTC).isoformat()


def _incident(**changed: Any) -> dict[str, Any]:
    """Injected at 1000, told after 10 s, proposed 5 s later, restored at 40 s."""
    reached = {"detected": 10, "proposed": 15, "decided": 16, "restored": 40, "verified": 70}
    return {
        "title": "StorefrontSlow",
        "state": "closed",
        "outcome": "recovered",
        "skill": "postgres-missing-index",
        "cause": {"id": "missing_index"},
        "proposal": {"action": "create_index_concurrently", "approval": None},
        "executions": [{"started_at": _at(17), "finished_at": _at(30)}],
        "milestones": {name: _at(second) for name, second in reached.items()},
        "evidence": [],
        "alerts": [],
        "why": "",
        **changed,
    }


def _watch(*incidents: dict[str, Any]) -> Watch:
    found = Watch.__new__(Watch)
    found.lab = cast("Production", None)
    found.approves, found.began, found.before = True, 1000.0, 0
    found.incidents = dict(enumerate(incidents, start=1))
    return found


def _run(*evidence: tuple[str, float]) -> Run:
    rows = [{"check": check, "at": _at(second)} for check, second in evidence]
    return Run(1000.0, opened_at=1010.0, proposed_at=1020.0, incident={"evidence": rows})


def test_own_work_is_without_the_time_a_sample_was_asked_to_last() -> None:
    assert own_work_seconds(_run(("lock_waits", 11.0), ("workload_sample", 14.0))) == 7.0


def test_samples_taken_side_by_side_are_taken_out_once() -> None:
    assert own_work_seconds(_run(("workload_sample", 14.0), ("temp_file_spill", 15.0))) == 6.0


def test_a_sample_that_ended_after_the_proposal_counts_up_to_it() -> None:
    assert own_work_seconds(_run(("workload_sample", 21.0))) == 8.0


def test_without_a_proposal_there_is_no_work_to_time() -> None:
    assert own_work_seconds(Run(1000.0, opened_at=1010.0)) is None


def test_a_line_says_what_was_true_what_was_said_and_how_long_it_took() -> None:
    found = line(_FAULT, _watch(_incident()))

    assert found["restored"]
    assert found["mechanism_right"]
    assert found["action_right"]
    assert found["seconds"] == {
        "detect": 10.0, "diagnose": 5.0, "wait": 1.0, "execute": 14.0, "verify": 40.0, "total": 40.0
    }  # fmt: skip


def test_of_several_incidents_the_one_in_which_something_was_done_is_told() -> None:
    quiet = _incident(title="OrdersSlow", executions=[], proposal=None, milestones={}, outcome="self_resolved")

    found = line(_FAULT, _watch(quiet, _incident()))

    assert found["alert"] == "StorefrontSlow"
    assert found["incidents"] == 2


def test_a_fault_that_nobody_was_told_of_is_not_restored() -> None:
    found = line(_FAULT, _watch())

    assert not found["restored"]
    assert found["seconds"]["total"] is None
    assert found["why"] == "no incident was opened"


def test_what_recovered_by_itself_is_not_counted_as_restored() -> None:
    found = line(_FAULT, _watch(_incident(outcome="self_resolved")))

    assert not found["restored"]


def test_the_summary_counts_wrong_fixes_and_actions_where_none_was_right() -> None:
    right = line(_FAULT, _watch(_incident()))
    wrong = line(_FAULT, _watch(_incident(proposal={"action": "cancel_backend", "approval": None})))
    harmless = line(named("traffic-surge"), _watch(_incident(cause=None)))

    found = summary([right, wrong, harmless, {"fault": "x", "error": "no"}])

    assert found["runs"] == 4
    assert found["not_injected"] == 1
    assert found["with_a_fix"] == found["restored"] == 2
    assert found["restore_seconds"] == {"median": 40.0, "worst": 40.0}
    assert found["action_right"] == 0.5
    assert found["wrong_fixes"] == 2
    assert found["actions_on_harmless"] == 1


def test_without_a_run_nothing_is_claimed() -> None:
    found = summary([])

    assert found["mechanism_right"] is None
    assert found["restore_seconds"] == {"median": None, "worst": None}


def test_a_fault_that_there_is_not_is_told_before_anything_starts() -> None:
    with pytest.raises(click.BadParameter, match="missing-index"):
        next(live(["missing-idea"], 1, print))


def test_usually_every_fault_with_a_fix_runs_and_those_on_which_any_fix_is_wrong() -> None:
    left_out = {fault.mechanism_id for fault in FAULTS if fault.name not in usual()}

    assert "missing-index" in usual()
    assert "traffic-surge" in usual()
    assert left_out == {"bad_deploy", "slow_dependency", "cpu_saturation", "connection_leak"}
