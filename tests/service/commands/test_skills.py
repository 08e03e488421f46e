from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from connectors.runbooks import SEED, texts
from tests.service.commands.test_commands import stanch

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_token_the_trees_own_skills_are_listed_and_it_says_so(tmp_path: Path) -> None:
    answer = stanch("skills", "list", "--json", place=tmp_path)
    assert answer.code == 0
    assert {json.loads(line)["name"] for line in answer.out.splitlines()} == set(texts())
    assert "no API token" in answer.err
    assert stanch("skills", "list", "--seeds", place=tmp_path).err == ""


def test_a_skill_is_shown_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert "Sessions wait for each other" in stanch("skills", "show", "postgres-locks", "--seeds", place=tmp_path).out
    answer = stanch("skills", "show", "no-such-skill", "--seeds", place=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "stanch skills list" in answer.err


def test_every_problem_of_a_folder_is_told_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    shutil.copytree(SEED, folder)
    assert stanch("skills", "validate", str(folder), place=tmp_path).code == 0
    (folder / "service-latency" / "references" / "diagnosis.yaml").write_text("causes: [\x1b[31m", encoding="utf-8")
    (folder / "empty").mkdir()
    vacuum = folder / "postgres-vacuum" / "references" / "diagnosis.yaml"
    vacuum.write_text(vacuum.read_text().replace("id: wraparound", "id: wraparound\n    query: the_moon"))
    (folder / "generic-triage" / "SKILL.md").write_bytes(b"\xff")
    answer = stanch("skills", "validate", str(folder), place=tmp_path)
    assert answer.code == 1
    assert "references/diagnosis.yaml" in answer.out
    assert "no SKILL.md" in answer.out
    assert "the tool database has no query 'the_moon'" in answer.out
    assert "not UTF-8" in answer.out
    assert "postgres-disk-and-temp: usable" in answer.out
    assert "\x1b[31m" not in answer.out
    rows = [json.loads(line) for line in stanch("skills", "validate", str(folder), "--json",
                                                place=tmp_path).out.splitlines()]  # fmt: skip
    assert {row["name"] for row in rows if not row["usable"]} >= {"service-latency", "empty", "postgres-vacuum"}


def test_a_folder_without_skills_is_unusable_input(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    answer = stanch("skills", "validate", str(tmp_path / "nothing"), place=tmp_path)
    assert answer.code == 2
    assert "holds no skill" in answer.err


def test_seeds_are_exported_byte_for_byte_and_committed_once(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    export = ("skills", "export", str(folder), "--seeds", "--git", "--json")
    first = json.loads(stanch(*export, place=tmp_path).out)
    assert first["commit"]
    for name, files in texts().items():
        for path, text in files.items():
            assert (folder / name / path).read_bytes() == text.encode()
    (folder / "postgres-locks" / "references" / "old.yaml").write_text("gone: true\n")
    assert json.loads(stanch(*export, place=tmp_path).out)["commit"] is None
    assert not (folder / "postgres-locks" / "references" / "old.yaml").exists()
    log = subprocess.run(["git", "-C", str(folder), "log", "--oneline"], capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", "postgres-locks"),
        ("revert", "postgres-locks", "--to", "1", "--reason", "x"),
    ],
)
def test_what_needs_the_api_says_so(arguments: tuple[str, ...], tmp_path: Path) -> None:
    answer = stanch("skills", *arguments, place=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "API token" in answer.err
