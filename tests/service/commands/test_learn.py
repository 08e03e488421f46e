"""What a run learned, brought into a real store by the command: what changes, what stays, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from agent.learning.tree import folders_of
from agent.runbook.files import DIAGNOSIS, digest
from connectors.store.skills import Count, SkillVersions
from lab.learn.journal import Journal
from tests.connectors.store.database import AGENT, API
from tests.lab.learn.scripted import Judge, does_nothing, run
from tests.lab.learn.world import tree
from tests.service.commands.test_commands import Answer, one_line, stanch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.store.database import Database

NAME = "shop-slow"
SEED = folders_of(tree())


@dataclass(frozen=True, slots=True)
class Deployment:
    """A store with the skills that a run began with, and the run."""

    database: Database
    place: Path

    @property
    def versions(self) -> SkillVersions:
        return SkillVersions(self.database.store(API))

    @property
    def out(self) -> Path:
        return self.place / "run"

    def deploy(self, *arguments: str) -> Answer:
        return stanch("learn", "--out", str(self.out), "deploy", *arguments, place=self.place,
                      STANCH_STORE_DSN=self.database.dsn(API))  # fmt: skip

    def in_use(self) -> dict[str, str]:
        return {name: one.sha256 for name, one in self.versions.champions().items()}

    def confirmed(self) -> dict[str, str]:
        journal = Journal(self.out)
        journal.rows()
        return folders_of(journal.tree(journal.state().confirmed))[NAME]

    def everything(self) -> list[object]:
        return [
            self.in_use(),
            self.versions.counts(),
            self.versions.history(NAME),
            self.versions.promotions(NAME),
            (self.out / "ledger.jsonl").read_bytes(),
        ]


@pytest.fixture
def deployment(fresh_database: Database, tmp_path: Path) -> Deployment:
    made = Deployment(fresh_database, tmp_path)
    made.versions.seed(SEED)
    incidents = fresh_database.run(
        "INSERT INTO stanch.incident (correlation_key, title) SELECT 'k' || n, 't' FROM generate_series(1, 3) n "
        "RETURNING id"
    )
    SkillVersions(fresh_database.store(AGENT)).add_counts(
        Count(NAME, "bad_deploy", "recent_change", "yes", number, "orders", digest(SEED[NAME]))
        for (number,) in incidents
    )
    return made


@pytest.mark.integration
def test_only_what_was_confirmed_comes_into_use_and_counts_stay(deployment: Deployment) -> None:
    run(deployment.out, 13)  # the three rounds after the confirmation are provisional
    journal = Journal(deployment.out)
    journal.rows()
    assert journal.state().champion != journal.state().confirmed
    counts = deployment.versions.counts()
    answer = deployment.deploy()
    assert (answer.code, answer.out) == (0, f"{NAME}: the learned text came into use\n")
    assert deployment.in_use() == {**{name: digest(files) for name, files in SEED.items()},
                                   NAME: digest(deployment.confirmed())}  # fmt: skip
    first, second = deployment.versions.history(NAME)
    assert (first.sha256, second.source, second.parent) == (digest(SEED[NAME]), "learn", first.sha256)
    assert "prior: 0.15" in second.files[DIAGNOSIS]
    assert deployment.versions.counts() == counts
    assert len(counts) == 3


@pytest.mark.integration
def test_a_dry_run_changes_nothing(deployment: Deployment) -> None:
    run(deployment.out, 10)
    before = deployment.everything()
    answer = deployment.deploy("--dry-run")
    assert (answer.code, answer.out) == (0, f"{NAME}: the learned text would come into use\n")
    assert deployment.everything() == before


@pytest.mark.integration
def test_deploying_again_changes_nothing_and_says_so(deployment: Deployment) -> None:
    run(deployment.out, 10)
    deployment.deploy()
    before = deployment.everything()
    answer = deployment.deploy()
    assert (answer.code, answer.out) == (0, f"{NAME}: the learned text was in use already\n")
    assert deployment.everything() == before
    assert [row["kind"] for row in Journal(deployment.out).rows()].count("deploy") == 1


@pytest.mark.integration
def test_what_is_learned_later_follows_what_was_deployed_before(deployment: Deployment) -> None:
    run(deployment.out, 10)
    deployment.deploy()
    run(deployment.out, 20)
    assert deployment.deploy().out == f"{NAME}: the learned text came into use\n"
    assert deployment.in_use()[NAME] == digest(deployment.confirmed())
    assert [one.source for one in deployment.versions.history(NAME)] == ["seed", "learn", "learn"]


@pytest.mark.integration
def test_what_a_person_wrote_since_is_not_overwritten_unless_it_is_asked_for(deployment: Deployment) -> None:
    run(deployment.out, 10)
    theirs = {**SEED[NAME], DIAGNOSIS: SEED[NAME][DIAGNOSIS].replace("margin: 0.3", "margin: 0.35")}
    version = deployment.versions.add_version(NAME, theirs, digest(SEED[NAME]), "human", "")
    deployment.versions.promote(NAME, version.sha256, person="ana")
    before = deployment.everything()
    assert "is not what this run began with: version 2 is in use" in one_line(deployment.deploy())
    assert deployment.everything() == before
    assert deployment.deploy("--replace").code == 0
    assert deployment.in_use()[NAME] == digest(deployment.confirmed())


@pytest.mark.integration
def test_what_a_person_retired_does_not_come_back_by_itself(deployment: Deployment) -> None:
    run(deployment.out, 10)
    deployment.versions.promote(NAME, None, person="ana")
    assert "none is in use" in one_line(deployment.deploy())
    assert NAME not in deployment.in_use()


@pytest.mark.integration
def test_a_store_without_skills_or_one_that_is_away_is_said(fresh_database: Database, tmp_path: Path) -> None:
    empty = Deployment(fresh_database, tmp_path)
    run(empty.out, 10)
    assert "holds no skills yet" in one_line(empty.deploy())
    ledger = (empty.out / "ledger.jsonl").read_bytes()
    with fresh_database.away():
        assert one_line(empty.deploy())
    assert (empty.out / "ledger.jsonl").read_bytes() == ledger


def test_without_anything_confirmed_there_is_nothing_to_deploy(tmp_path: Path) -> None:
    run(tmp_path / "run", 10, judge=Judge(does_nothing))
    answer = stanch("learn", "--out", str(tmp_path / "run"), "deploy", place=tmp_path)
    assert "nothing to deploy" in one_line(answer)


def test_without_a_run_the_way_to_begin_one_is_told(tmp_path: Path) -> None:
    assert "stanch learn --rounds" in one_line(stanch("learn", "deploy", place=tmp_path))
