from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runbook.discovery import CANDIDATES, Candidate, candidates, discovered
from agent.runbook.files import CASES
from agent.runbook.match import GENERIC, pick
from agent.runbook.write import parse
from connectors.runbooks import skills, texts

SKILLS, TEXTS = skills(), texts()
TRIGGERS = [
    (name, labels)
    for name, files in TEXTS.items()
    for labels in parse(files.get(CASES, "{}")).get("triggers", ())
]  # fmt: skip


@pytest.mark.parametrize(("name", "labels"), TRIGGERS, ids=lambda value: str(value)[:40])
def test_a_matcher_goes_before_every_likeness(name: str, labels: dict[str, str]) -> None:
    has_target = SKILLS[name].needs_target
    found = candidates(SKILLS.values(), labels, {}, has_target=has_target)
    assert discovered(found) == name
    picked = pick(SKILLS.values(), labels, has_target=has_target)
    assert picked is not None
    assert picked.name == name
    assert len(found) <= CANDIDATES


@pytest.mark.parametrize(
    ("alertname", "skill"),
    [
        ("TooManyOpenTransactions", "postgres-connections"),
        ("Connection pools are exhausted", "postgres-connections"),
        ("temporary_file_flood", "postgres-disk-and-temp"),
        ("CronjobBehindSchedule", "background-job-late"),
    ],
)
def test_an_alert_that_no_matcher_knows_finds_a_skill_that_sounds_like_it(alertname: str, skill: str) -> None:
    bare = [replace(one, matchers=()) for one in SKILLS.values()]
    found = candidates(bare, {"alertname": alertname}, {}, has_target=True)
    assert found[0].skill == skill
    assert discovered(found) == skill


@pytest.mark.parametrize(
    "alertname",
    ["Watchdog", "KubeNodeNotReady", "CertificateExpires", "NTPDrift", "CheckoutSluggish", "", "Low", "\x00\u202e"],
)
def test_no_skill_is_a_legal_answer(alertname: str) -> None:
    found = candidates(SKILLS.values(), {"alertname": alertname}, {"summary": "look into it"}, has_target=True)
    assert discovered(found) is None


def test_without_a_target_no_skill_that_needs_one_is_considered() -> None:
    found = candidates(SKILLS.values(), {"alertname": "PostgresqlTooManyConnections"}, {}, has_target=False)
    assert found
    assert all(not SKILLS[one.skill].needs_target for one in found)
    assert GENERIC not in {one.skill for one in found}


def test_two_that_are_equally_alike_are_none() -> None:
    assert discovered((Candidate("a", 0.5, "alike"), Candidate("b", 0.45, "alike"))) is None
    assert discovered((Candidate("a", 0.5, "alike"), Candidate("b", 0.3, "alike"))) == "a"
    assert discovered((Candidate("a", 0.1, "alike"),)) is None
    assert discovered(()) is None


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=8), st.text(max_size=300), max_size=6), st.text(max_size=3_000))
def test_hostile_text_is_just_text(labels: dict[str, str], told: str) -> None:
    found = candidates(SKILLS.values(), labels, {"description": told}, has_target=True)
    assert len(found) <= CANDIDATES
    assert len({one.skill for one in found}) == len(found)
    assert found == candidates(list(SKILLS.values())[::-1], labels, {"description": told}, has_target=True)
