from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.brain import loops
from agent.brain.beliefs import posterior
from agent.brain.choose import Ask, GiveUp, next_move
from agent.brain.loops import End, Replan, canonical, judged, result_hash, still_barred
from agent.events import (
    ApprovalDenied,
    ApprovalGranted,
    ApprovalOpened,
    CheckAnswered,
    ExecutionEnded,
    HumanAsked,
    ProposalDrafted,
    ProposalRefused,
    RevisionAsked,
    RollbackAuthorised,
    StepFailed,
    Triaged,
    VerificationSampled,
)
from agent.incident import Answered, Call, Incident, IncidentState, Mode, Outcome, Working
from agent.machine import Decision, decide
from tests.agent.examples import CONVINCING, DIAGNOSIS, HIDDEN, NO, NOTED, NOW, SKILL, YES, concluded, incident, skill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.events import Event
    from agent.runbook.skill import Skill

S = IncidentState


def call(asked: str, result: str = "r", *, at_s: float = 0.0, look: int = 1) -> Call:
    tool, _, args = asked.partition(":")
    return Call(tool, args, result, look, at_s)


# --- The rules, by themselves ------------------------------------------------------------------------------------


def test_the_same_call_with_the_same_result_is_barred_at_three_and_ends_the_run_at_five() -> None:
    calls = [call("db:locks") for _ in range(5)]
    assert judged(calls[:2]) is None
    assert isinstance(judged(calls[:3]), Replan)
    assert isinstance(judged(calls[:4]), Replan)
    assert isinstance(judged(calls), End)


def test_identical_arguments_end_the_run_at_six_even_if_the_result_changes_each_time() -> None:
    calls = [call("db:locks", str(number)) for number in range(6)]
    assert judged(calls[:5]) is None
    assert isinstance(judged(calls), End)


def test_what_is_declared_as_polling_may_change_as_often_as_it_likes() -> None:
    calls = [call("verify:expr", str(number)) for number in range(40)]
    assert judged(calls) is None


def test_two_calls_that_alternate_three_times_end_the_run() -> None:
    calls = [call(name, str(number)) for number, name in enumerate(["edit:a", "edit:b"] * 3)]
    assert judged(calls[:5]) is None
    verdict = judged(calls)
    assert isinstance(verdict, End)
    assert "edit:a and edit:b" in verdict.why


def test_old_calls_do_not_count() -> None:
    calls = [call("db:locks", at_s=number * (loops.WINDOW_S / 2 + 1)) for number in range(12)]
    assert judged(calls) is None
    assert still_barred(calls, calls[-1].at_s) == ()
    assert still_barred([call("db:locks")] * 3, 1.0) == ("db:locks",)


def test_a_result_is_the_same_when_only_figures_and_times_moved() -> None:
    first = {"table": "orders", "rows": 2_000_000, "age_s": 3.1, "pid": 17, "at": "12:00", "tables": [{"n": 4}]}
    later = {"tables": [{"n": 7}], "at": "12:09", "pid": 99, "age_s": 88.0, "rows": 2_100_000, "table": "orders"}
    assert result_hash("yes", first) == result_hash("yes", later)
    assert result_hash("yes", first) != result_hash("no", first)
    assert result_hash("yes", first) != result_hash("yes", {**first, "table": "payments"})
    assert result_hash("yes", first) != result_hash("yes", {**first, "rows": 20})


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.floats() | st.text(max_size=5), max_size=5))
def test_any_result_has_a_hash_and_order_does_not_matter(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    assert result_hash("yes", data) == result_hash("yes", turned)
    assert canonical({"b": 1, "a": [2]}) == canonical({"a": [2], "b": 1})


def test_an_answer_without_a_hash_is_compared_by_its_sentence_without_the_figures() -> None:
    one, two = Answered("no", "3 sessions wait, 1.5 s", 1), Answered("no", "12 sessions wait, 20 s", 9)
    assert loops.result_of(one) == loops.result_of(two)
    assert loops.result_of(one) != loops.result_of(replace(one, status="yes"))
    assert loops.result_of(replace(one, result="abc")) == "abc"


# --- Through decide ----------------------------------------------------------------------------------------------

TRIAGED = Triaged("slow-shop", "shop", Mode.ACT, "orders", NOW - timedelta(seconds=30))


def looked(
    start: Decision, said: Callable[[str], Answered], with_skill: Skill = SKILL, now: datetime = NOW
) -> Decision:
    """Answers every check until the look ends."""
    decision = start
    while decision.incident.state is S.INVESTIGATING and decision.incident.working.pending:
        name = decision.incident.working.pending[0]
        decision = decide(decision.incident, with_skill, CheckAnswered(name, said(name)), now)
    return decision


def asked_of(decision: Decision) -> list[str]:
    return [step.args["check"] for step in decision.steps if step.kind == "check"]


def test_another_look_that_finds_the_same_is_answered_from_memory_and_then_refused() -> None:
    """One look and two more: the third time is the last that anything is asked."""
    same = dict.fromkeys(SKILL.checks, NO)
    decision = looked(decide(incident(), SKILL, TRIAGED, NOW), same.__getitem__)
    for _ in range(2):
        again = decide(decision.incident, SKILL, HumanAsked("ada"), NOW)
        assert asked_of(again), "nothing is held back before it was the same three times"
        decision = looked(again, same.__getitem__)
    assert len(decision.incident.working.barred_calls) == len(decision.incident.working.answered)
    fourth = decide(decision.incident, SKILL, HumanAsked("ada"), NOW)
    assert not asked_of(fourth)
    assert "not asked again" in fourth.note
    assert fourth.incident.state is S.NEEDS_HUMAN
    assert fourth.incident.working.answered == decision.incident.working.answered
    fifth = decide(fourth.incident, SKILL, HumanAsked("ada"), NOW)
    assert (fifth.incident.state, fifth.steps) == (S.NEEDS_HUMAN, ())
    assert "round in circles" in fifth.incident.working.why


def test_half_an_hour_later_a_look_is_a_look_again() -> None:
    same = dict.fromkeys(SKILL.checks, NO)
    decision = looked(decide(incident(), SKILL, TRIAGED, NOW), same.__getitem__)
    for _ in range(4):
        decision = looked(decide(decision.incident, SKILL, HumanAsked("ada"), NOW), same.__getitem__)
    later = decide(decision.incident, SKILL, HumanAsked("ada"), NOW + timedelta(seconds=loops.WINDOW_S + 1))
    assert later.incident.state is S.INVESTIGATING
    assert asked_of(later)


def test_looks_that_see_something_else_each_time_are_ended_by_the_sixth() -> None:
    decision = decide(incident(), SKILL, TRIAGED, NOW)
    for number in range(8):
        changed = {name: Answered("no", f"{'abcdefgh'[number]} it is", 1) for name in SKILL.checks}
        decision = looked(decision, changed.__getitem__)
        if "nothing came of it" in decision.incident.working.why:
            break
        decision = decide(decision.incident, SKILL, HumanAsked("ada"), NOW)
    assert number == loops.IDENTICAL_ENDS - 1
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.working.pending == ()


def aliased(count: int, side_by_side: int = 1) -> Skill:
    """A skill whose checks are one question under many names."""
    rows = [
        {
            "id": f"c{n}",
            "tool": "database",
            "query": "lock_waits",
            "cost_s": 0.1,
            "supports": {"missing_index": "strong"},
        }
        for n in range(count)
    ]
    rows.append({"id": "other", "tool": "metrics", "cost_s": 9.0, "supports": {"traffic_surge": "strong"}})
    stop = {**DIAGNOSIS["stop"], "max_checks": count + 1, "posterior": 0.99, "min_disconfirming": 0}
    brain = {"side_by_side": side_by_side}
    return skill({**DIAGNOSIS, "checks": rows, "first": ["c0"], "stop": stop, "brain": brain}, {"remediations": []})


def test_a_skill_that_asks_the_same_under_other_names_is_made_to_ask_something_else() -> None:
    chosen = aliased(9)
    decision = looked(decide(incident(), chosen, TRIAGED, NOW), lambda _: NO, chosen)
    answered = decision.incident.working.answered
    assert sum(1 for name in answered if name.startswith("c")) == loops.SAME_BARS
    assert "other" in answered
    assert decision.incident.working.barred_calls == ("database:lock_waits",)


def test_the_same_asked_five_times_at_once_ends_the_whole_run() -> None:
    chosen = aliased(9, side_by_side=6)
    decision = looked(decide(incident(), chosen, TRIAGED, NOW), lambda _: NO, chosen)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is Outcome.INCONCLUSIVE
    assert "round in circles" in decision.note
    assert [step.kind for step in decision.steps] == ["postmortem"]
    assert decision.incident.working.pending == ()


def fails(event: Event, *, times: int, after: Callable[[Incident], Incident] = lambda one: one) -> Decision:
    """The whole way to the fix, which then fails in the same way each time; a person asks for another look."""
    said = dict(CONVINCING)
    decision = looked(decide(incident(), SKILL, TRIAGED, NOW), said.__getitem__)
    for number in range(times):
        if decision.incident.state is S.INVESTIGATING:
            decision = decide(after(decision.incident), SKILL, event, NOW)
        if number < times - 1:
            changed = {name: replace(one, summary=one.summary + "x" * number) for name, one in said.items()}
            again = decide(decision.incident, SKILL, HumanAsked("ada"), NOW)
            decision = looked(again, changed.__getitem__)
    return decision


def awaiting(now: Incident) -> Incident:
    drafted = decide(now, SKILL, ProposalDrafted("p", now.working.revision + 1, "CREATE INDEX"), NOW)
    return decide(drafted.incident, SKILL, ApprovalOpened("a"), NOW).incident


def verifying(now: Incident) -> Incident:
    granted = decide(awaiting(now), SKILL, ApprovalGranted(("ada",), "e"), NOW)
    return decide(granted.incident, SKILL, ExecutionEnded("run", "finished", "", NOW), NOW).incident


@pytest.mark.parametrize(
    ("event", "after"),
    [
        (ProposalRefused(("too big",)), lambda one: one),
        (StepFailed("propose", "the target did not answer in 15 s"), lambda one: one),
        (ApprovalDenied("ada", "not now"), awaiting),
        (VerificationSampled("not_recovered", "0.4 s", None, False), verifying),
    ],
)
def test_a_fix_that_comes_to_the_same_end_three_times_is_not_proposed_again(
    event: Event, after: Callable[[Incident], Incident]
) -> None:
    twice = fails(event, times=2, after=after)
    assert twice.incident.working.barred_calls == ()
    third = fails(event, times=3, after=after)
    assert third.incident.state is S.NEEDS_HUMAN
    assert third.incident.working.barred_calls == ("propose:build-the-index",)
    again = decide(third.incident, SKILL, HumanAsked("ada"), NOW)
    fourth = looked(again, {name: replace(one, summary="news") for name, one in CONVINCING.items()}.__getitem__)
    assert not [step for step in fourth.steps if step.kind == "propose"]
    assert fourth.incident.state is S.NEEDS_HUMAN
    assert "not proposed again" in fourth.incident.working.why


def test_a_regression_is_rolled_back_whatever_the_count_says() -> None:
    """A loop is never a reason to leave a harmful change in place."""
    worse = VerificationSampled("regressed", "9 s", None, True)
    seen = tuple(call("propose:build-the-index", "regressed", at_s=NOW.timestamp()) for _ in range(6))
    before = incident(S.VERIFYING)
    before = replace(before, working=replace(before.working, calls=seen))
    decision = decide(before, SKILL, worse, NOW)
    assert [step.kind for step in decision.steps] == ["authorise_rollback"]
    back = decide(decision.incident, SKILL, RollbackAuthorised("e2"), NOW)
    over = decide(back.incident, SKILL, ExecutionEnded("rollback", "rolled_back", "x", NOW), NOW)
    assert over.incident.outcome is Outcome.REGRESSED
    assert "round in circles" in over.incident.working.why


def edited(params: Mapping[str, Any], now: Incident) -> Decision:
    return decide(now, SKILL, RevisionAsked("ada", params, ""), NOW)


def test_edits_that_undo_each_other_end_the_run() -> None:
    now = awaiting(concluded())
    one, other = {"columns": ["a"]}, {"columns": ["a", "b"]}
    for number in range(6):
        decision = edited((one, other)[number % 2], now)
        if number < 5:
            assert decision.incident.state is S.INVESTIGATING
            now = awaiting(decision.incident)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert "undid each other" in decision.incident.working.why
    assert [step.kind for step in decision.steps] == ["postmortem"]
    assert decision.incident.working.in_flight == ()


def test_edits_that_lead_somewhere_do_not() -> None:
    now = awaiting(concluded())
    for number in range(5):
        decision = edited({"columns": [f"c{number}"]}, now)
        assert decision.incident.state is S.INVESTIGATING
        now = awaiting(decision.incident)


# --- No news -----------------------------------------------------------------------------------------------------


def dull(count: int) -> Skill:
    """Checks that are expected to tell a little and, answering no, tell next to nothing."""
    rows: list[dict[str, Any]] = [
        {"id": f"c{n}", "tool": "metrics", "query": f"q{n}", "cost_s": 0.1, "supports": {"missing_index": "weak"}}
        for n in range(count)
    ]
    brain = {"worth_asking_bits": 0.0, "side_by_side": 1, "unrelated": 0.39, "weak": 0.4}
    stop = {**DIAGNOSIS["stop"], "max_checks": count}
    return skill({**DIAGNOSIS, "checks": rows, "first": ["c0"], "stop": stop, "brain": brain}, {"remediations": []})


def test_four_answers_that_tell_nothing_end_the_asking() -> None:
    chosen = dull(9)
    decision = looked(decide(incident(), chosen, TRIAGED, NOW), lambda name: Answered("no", f"{name} no", 1), chosen)
    assert len(decision.incident.working.answered) == loops.NEWS_CHECKS
    assert decision.incident.state is S.NEEDS_HUMAN
    assert "the last 4 told nothing new" in decision.incident.working.why


def test_a_check_that_could_not_see_says_nothing_about_news() -> None:
    chosen = dull(9)
    decision = looked(decide(incident(), chosen, TRIAGED, NOW), lambda _: HIDDEN, chosen)
    assert "told nothing new" not in decision.incident.working.why


def test_an_answer_that_moves_beliefs_is_news() -> None:
    answered = {"sample": NOTED, "ranking": YES, "scans": NO, "surge": NO}
    working = Working(beliefs=SKILL.priors())
    for name, answer in answered.items():
        known = {**working.answered, name: answer}
        working = replace(working, answered=known, beliefs=posterior(SKILL, known))
        working = loops.checked(SKILL, working, name, 0.0)
    assert not loops.no_news(SKILL, working)
    assert isinstance(next_move(SKILL, working), Ask | GiveUp)


def test_what_is_remembered_of_calls_is_bounded() -> None:
    working = Working()
    for number in range(500):
        working = loops.made(working, call("edit:x", str(number)))
    assert len(working.calls) == loops.CALLS_KEPT
    assert Working.from_data(working.as_data()) == working
