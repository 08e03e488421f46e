from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent.memory.case import FixEffect, PastCase, case_of
from agent.memory.lessons import (
    EXPIRES,
    PROBES_NEEDED,
    Lesson,
    aged,
    confirmed,
    derive,
    probe,
    probed,
    relevant,
)
from tests.agent.memory.posts import post
from tests.agent.replay import cases as replays

if TYPE_CHECKING:
    from collections.abc import Mapping

AT = datetime(2026, 11, 1, tzinfo=UTC)
NOW = AT + timedelta(days=20)


def past(number: int, effect: FixEffect, service: str = "orders", **changes: Any) -> PastCase:
    return replace(case_of(post(number), AT), effect=effect, service=service, **changes)


def only(cases: list[PastCase], known: Mapping[str, Lesson] | None = None, now: datetime = NOW) -> Lesson:
    (lesson,) = derive(cases, known or {}, now)
    return lesson


def test_two_incidents_of_two_families_make_a_negative_lesson() -> None:
    lesson = only([past(1, "ineffective"), past(2, "ineffective", "payments")])
    assert (lesson.kind, lesson.failure_class, lesson.status) == ("negative", "ineffective", "active")
    assert (lesson.claim.cause, lesson.claim.action) == ("missing_index", "create_index_concurrently")
    assert lesson.scope.services == ("orders", "payments")
    assert len(lesson.support) == 2
    assert lesson.expires == AT + EXPIRES
    assert lesson.trusted(NOW)


def test_many_incidents_of_one_family_are_one_witness() -> None:
    lesson = only([past(number, "harmful") for number in range(1, 20)])
    assert (lesson.families, lesson.status) == (1, "candidate")
    assert not lesson.trusted(NOW)


def test_one_incident_and_a_person_are_enough() -> None:
    alone = only([past(1, "harmful")])
    assert alone.status == "candidate"
    by_ada = confirmed(alone, "ada", NOW)
    assert (by_ada.status, by_ada.confirmed_by) == ("active", "ada")
    again = only([past(1, "harmful")], {alone.id: by_ada})
    assert again == by_ada


@pytest.mark.parametrize("effect", ["transient", "tool_error", "not_run", "unclear", "none"])
def test_what_never_ran_to_its_end_is_never_held_against_a_fix(effect: FixEffect) -> None:
    assert derive([past(number, effect, f"s{number}") for number in range(1, 9)], {}, NOW) == ()


def test_a_lesson_is_contradicted_by_as_many_as_support_it() -> None:
    bad = [past(1, "ineffective"), past(2, "ineffective", "payments")]
    good = [past(3, "helped", "catalog"), past(4, "helped", "search")]
    lessons = {lesson.kind: lesson for lesson in derive([*bad, *good], {}, NOW)}
    assert {lesson.status for lesson in lessons.values()} == {"contradicted"}
    assert lessons["negative"].contradict == lessons["positive"].support
    one_more = derive([*bad, *good, past(5, "helped", "checkout")], {}, NOW)
    assert {lesson.kind: lesson.status for lesson in one_more} == {"negative": "contradicted", "positive": "active"}


def test_other_environments_are_other_lessons() -> None:
    cases = [past(1, "harmful"), past(2, "harmful", "payments", environment="staging")]
    assert [lesson.status for lesson in derive(cases, {}, NOW)] == ["candidate", "candidate"]


def test_a_negative_lesson_expires_and_is_then_probed_and_not_trusted() -> None:
    cases = [past(1, "ineffective"), past(2, "ineffective", "payments")]
    lesson = only(cases)
    later = AT + EXPIRES
    assert lesson.trusted(later - timedelta(seconds=1))
    assert not lesson.trusted(later)
    assert aged(lesson, later).status == "to_probe"
    assert only(cases, {}, later).status == "to_probe"
    held = probed(aged(lesson, later), "holds", later)
    assert (held.status, held.last_probe, held.expires) == ("active", later, later + EXPIRES)
    assert only(cases, {held.id: held}, later) == held
    fallen = probed(aged(lesson, later), "does_not_hold", later)
    assert fallen.status == "retired"
    assert only(cases, {fallen.id: fallen}, later).status == "retired"
    assert probed(lesson, "not_shown", later) == lesson


def test_a_retired_lesson_comes_back_only_by_something_that_happened_since() -> None:
    cases = [past(1, "ineffective"), past(2, "ineffective", "payments")]
    fallen = probed(only(cases), "does_not_hold", NOW)
    fresh = past(3, "ineffective", "search", closed_at=NOW + timedelta(days=1))
    assert only([*cases, fresh], {fallen.id: fallen}, NOW + timedelta(days=2)).status == "active"


def test_expired_cases_support_nothing() -> None:
    old = [past(1, "helped", expires=NOW), past(2, "helped", "payments", expires=NOW)]
    assert derive(old, {}, NOW) == ()


def test_the_order_of_cases_changes_nothing() -> None:
    effects: list[FixEffect] = ["helped", "ineffective", "harmful", "refused", "tool_error"]
    rng = random.Random(7)  # noqa: S311 an order, not a secret
    cases = [past(number, rng.choice(effects), f"s{number % 4}") for number in range(1, 60)]
    shuffled = list(cases)
    rng.shuffle(shuffled)
    assert derive(cases, {}, NOW) == derive(shuffled, {}, NOW)
    assert derive([*cases, *cases[:1]], {}, NOW)[0].support == derive(cases, {}, NOW)[0].support


def test_a_tenth_of_poisoned_postmortems_turns_no_lesson() -> None:
    """Eighteen honest ones say that the fix helps, two are flipped, from families of their own."""
    honest = [past(number, "helped", f"s{number}") for number in range(1, 19)]
    poisoned = [past(90, "harmful", "evil-1"), past(91, "harmful", "evil-2")]
    lessons = {lesson.kind: lesson.status for lesson in derive([*honest, *poisoned], {}, NOW)}
    assert lessons == {"positive": "active", "negative": "contradicted"}


def test_a_lesson_survives_the_store() -> None:
    lesson = probed(confirmed(only([past(1, "refused")]), "ada", NOW), "holds", NOW)
    assert lesson.kind == "warning"
    assert Lesson.from_data(lesson.as_data()) == lesson


def test_only_trusted_lessons_about_the_cause_in_the_environment_are_shown_warnings_first() -> None:
    bad = [past(1, "harmful"), past(2, "harmful", "payments")]
    good = [past(number, "helped", f"s{number}", action="analyze_table") for number in (3, 4)]
    elsewhere = [past(number, "helped", f"s{number}", cause="connection_leak") for number in (5, 6)]
    lessons = derive([*bad, *good, *elsewhere, past(7, "helped", action="vacuum_table")], {}, NOW)
    shown = relevant(lessons, causes=["missing_index"], environment="production", now=NOW)
    assert [lesson.kind for lesson in shown] == ["negative", "positive"]
    assert relevant(lessons, causes=["missing_index"], environment="staging", now=NOW) == ()
    assert relevant(lessons, causes=["missing_index"], environment="production", now=NOW + EXPIRES) == ()


# --- Probed in replay --------------------------------------------------------------------------------------------


def test_a_probe_asks_replays_of_the_same_mechanism() -> None:
    cases = [one.case() for one in replays.recordings()]
    helps = only([past(1, "helped")])
    harms = only([past(1, "harmful")])
    assert probe(helps, cases) == "holds"
    assert probe(harms, cases) == "does_not_hold"
    wrong_fix = only([past(1, "helped", action="analyze_table")])
    assert probe(wrong_fix, cases) == "does_not_hold"
    assert probe(replace(harms, claim=wrong_fix.claim), cases[: PROBES_NEEDED - 1]) == "not_shown"
    assert probe(only([past(1, "refused")]), cases) == "not_shown"
