"""The set that comes with Stanch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.replay.case import question
from agent.replay.play import play
from connectors.runbooks import skills
from lab.faults import FAULTS
from lab.recordings import library
from lab.recordings.full import recomputed
from lab.recordings.generate import Generator, duplicates, families_of
from lab.recordings.splits import SPLITS

if TYPE_CHECKING:
    from lab.recordings.recording import Recording

MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def recordings() -> tuple[Recording, ...]:
    return library.read()


def test_it_is_small_enough_to_be_kept_with_the_code() -> None:
    files = [path for path in library.DATA.iterdir() if path.is_file()]

    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.name for path in files} == {
        library.MANIFEST,
        *(str(row["file"]) for row in library.read_manifest(library.DATA).recordings),
    }


def test_each_has_a_fault_of_the_lab_and_its_truth(recordings: tuple[Recording, ...]) -> None:
    truth = {fault.name: (fault.component, fault.mechanism_id, fault.expected_action) for fault in FAULTS}

    for one in recordings:
        assert (one.truth.component, one.truth.mechanism, one.truth.action) == truth[one.fault], one.id
        assert (one.truth.restore_s is None) == (one.truth.action is None), one.id


def test_each_answers_every_question_that_a_skill_asks(recordings: tuple[Recording, ...]) -> None:
    asked = {question(check) for skill in skills().values() for check in skill.checks.values()}

    assert [(one.id, asked - set(one.answers)) for one in recordings if asked - set(one.answers)] == []


def test_none_says_where_it_was_made(recordings: tuple[Recording, ...]) -> None:
    for one in recordings:
        text = json.dumps([one.answers, one.tape], default=lambda value: getattr(value, "data", None))
        assert not re.search(r"/(home|root|work|tmp|Users)/", text), one.id
        assert "PASSWORD" not in text, one.id


def test_forty_families_and_more_can_be_played_and_no_trace_is_in_two_splits(
    recordings: tuple[Recording, ...],
) -> None:
    families = {split: families_of(recordings, split) for split in SPLITS}
    cases = [Generator(recordings, families[split]).case(seed) for split in SPLITS for seed in range(15)]

    assert len(families_of(recordings)) >= 40
    assert all(families.values())
    assert duplicates(cases) == ()


def test_todays_code_answers_as_the_recorded_one_did(recordings: tuple[Recording, ...]) -> None:
    """Rounded samples may turn a close call; more than that and the recordings are of another program."""
    some = recordings[:: max(1, len(recordings) // 4)]
    alike = [
        said.status == anew.status
        for one in some
        for case in [recomputed(one)]
        for asked, recorded in one.answers.items()
        for said, anew in zip(recorded, case.answers[asked], strict=True)
    ]

    assert sum(alike) / len(alike) > 0.97


def test_a_change_that_was_merely_announced_is_not_taken_for_the_cause(recordings: tuple[Recording, ...]) -> None:
    known = skills()
    for one in recordings:
        case = one.case()
        announced = tuple(replace(said, status="yes") for said in case.answers["changes:recent_change"])
        played = play(replace(case, answers={**case.answers, "changes:recent_change": announced}), known)

        assert played.cause != "bad_deploy" or played.mechanism_right, one.id
        assert not played.wrong_fix, one.id
        assert played.mechanism_right or one.fault != "traffic-surge", one.id
