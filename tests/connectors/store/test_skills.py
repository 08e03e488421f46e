from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.runbook.files import digest
from agent.runbook.skill import UnusableSkill
from connectors.store.skills import Count, SkillVersions, UnknownVersion
from tests.agent.examples import FRONT, files
from tests.connectors.store.database import AGENT, API, EXECUTOR

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration
NAME = "slow-shop"
FIRST, SECOND, THIRD = (files(front=f"{FRONT}\n{number}\n") for number in ("one", "two", "three"))


@pytest.fixture
def versions(fresh_database: Database) -> SkillVersions:
    return SkillVersions(fresh_database.store(API))


def test_a_version_comes_into_use_only_when_it_is_promoted(versions: SkillVersions) -> None:
    made = versions.add_version(NAME, FIRST, None, "human", "written by hand")
    assert (made.version, made.sha256, made.files, made.whole) == (1, digest(FIRST), FIRST, True)
    assert versions.champions() == {}
    before = versions.newest_promotion()
    versions.promote(NAME, made.sha256, person="ada@example.com", note="why not")
    assert versions.champions() == {NAME: made}
    assert versions.newest_promotion() > before


def test_the_same_text_is_one_version_however_often_it_is_added(versions: SkillVersions) -> None:
    first = versions.add_version(NAME, FIRST, None, "seed", "")
    second = versions.add_version(NAME, SECOND, first.sha256, "learn", "an edit")
    assert versions.add_version(NAME, FIRST, None, "human", "again") == first
    assert [one.version for one in versions.history(NAME)] == [1, 2]
    assert versions.version(NAME, second.sha256).parent == first.sha256


def test_two_who_add_at_once_get_two_numbers(fresh_database: Database) -> None:
    texts = [files(front=f"{FRONT}\n{number}\n") for number in range(8)]
    stores = [SkillVersions(fresh_database.store(role)) for role in (API, AGENT)]

    def add(number: int) -> None:
        stores[number % 2].add_version(NAME, texts[number], None, "learn", "")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one.version for one in stores[0].history(NAME)] == list(range(1, 9))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({**FIRST, "references/diagnosis.yaml": "causes: ["}, "skill slow-shop"),
        ({**FIRST, "../escape.yaml": ""}, "no file of a skill"),
        ({**FIRST, "references/x.yaml": "a\x00b"}, "no text"),
        ({**FIRST, "references/x.yaml": "\ud800"}, "no text"),
        ({**FIRST, "references/x.yaml": "a" * 300_000}, "KiB"),
    ],
)
def test_what_cannot_be_read_is_not_stored(versions: SkillVersions, broken: dict[str, str], says: str) -> None:
    with pytest.raises(UnusableSkill, match=says):
        versions.add_version(NAME, broken, None, "learn", "")
    assert versions.history(NAME) == ()


def test_promoting_is_audited_once_and_unknown_versions_are_refused(
    fresh_database: Database, versions: SkillVersions
) -> None:
    first = versions.add_version(NAME, FIRST, None, "seed", "")
    for _ in range(2):
        versions.promote(NAME, first.sha256, person="ada@example.com")
    with pytest.raises(UnknownVersion, match=r"there are: 1 \("):
        versions.promote(NAME, "0" * 64)
    with pytest.raises(UnknownVersion, match="there is no skill"):
        versions.promote("another", None)
    [row] = fresh_database.run("SELECT actor, action, data ->> 'sha256' FROM stanch.audit")
    assert row == ("ada@example.com", "SkillPromoted", first.sha256)


def test_a_retired_skill_is_in_use_nowhere_and_its_versions_stay(versions: SkillVersions) -> None:
    first = versions.add_version(NAME, FIRST, None, "seed", "")
    versions.promote(NAME, first.sha256)
    versions.promote(NAME, None, person="ada@example.com")
    assert versions.champions() == {}
    assert versions.history(NAME) == (first,)
    assert [(one.version, one.person) for one in versions.promotions(NAME)] == [
        (None, "ada@example.com"),
        (1, "stanch"),
    ]
    assert versions.seed({NAME: FIRST}) == ()
    assert versions.champions() == {}


def test_a_newer_tree_replaces_its_own_older_text_and_nothing_else(versions: SkillVersions) -> None:
    assert versions.seed({NAME: FIRST}) == (NAME,)
    assert versions.seed({NAME: FIRST}) == ()
    assert versions.seed({NAME: SECOND}) == (NAME,)
    assert versions.champions()[NAME].files == SECOND
    assert versions.seed({NAME: FIRST}) == (), "an older tree beside a newer one does not turn it back"
    learned = versions.add_version(NAME, THIRD, digest(SECOND), "learn", "better")
    versions.promote(NAME, learned.sha256)
    assert versions.seed({NAME: files(front=f"{FRONT}\nfour\n")}) == ()
    assert versions.champions()[NAME] == learned
    assert len(versions.history(NAME)) == 4


def test_a_text_changed_by_hand_is_no_longer_whole(fresh_database: Database, versions: SkillVersions) -> None:
    versions.seed({NAME: FIRST})
    fresh_database.run('UPDATE stanch.skill_version SET files = files || \'{"SKILL.md": "gone"}\'')
    assert not versions.champions()[NAME].whole


def test_an_incident_counts_once(fresh_database: Database) -> None:
    [(incident,)] = fresh_database.run(
        "INSERT INTO stanch.incident (correlation_key, title) VALUES ('k', 't') RETURNING id"
    )
    versions = SkillVersions(fresh_database.store(AGENT))
    counts = [
        Count(NAME, "missing_index", "scans", "yes", incident, "shop", digest(FIRST)),
        Count(NAME, "missing_index", "fix", "recovered", incident, "shop", None),
    ]
    assert versions.add_counts(counts) == 2
    assert versions.add_counts(counts) == 0
    assert versions.counts(NAME) == tuple(counts)
    assert versions.counts("another") == ()
    assert len(versions.counts()) == 2


def test_a_version_cannot_be_changed_by_any_process(fresh_database: Database, versions: SkillVersions) -> None:
    versions.seed({NAME: FIRST})
    for role in (API, AGENT, EXECUTOR):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            fresh_database.run("UPDATE stanch.skill_version SET note = 'mine'", role=role)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            fresh_database.run("DELETE FROM stanch.skill_promotion", role=role)
