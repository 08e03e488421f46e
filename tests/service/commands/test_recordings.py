from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lab.recordings import library
from lab.recordings.recording import UnusableRecording
from service.commands.failures import CommandFailed
from service.commands.lab import lab
from tests.lab.recordings.examples import recording

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    library.add(tmp_path, recording("missing-index-001"))
    library.add(tmp_path, recording("old-snapshot-001", mechanism="old_xmin", alert="CatalogSlow"))
    return tmp_path


def _called(*arguments: str) -> Result:
    return CliRunner().invoke(lab, arguments)


def test_replay_tells_a_recording_check_by_check(folder: Path) -> None:
    result = _called("replay", "missing-index-001", "--recordings", str(folder))

    assert result.exit_code == 0, result.output
    assert "truth: missing_index in orders-db; repaired by create_index_concurrently in 21 s" in result.output
    assert "index_would_help" in result.output
    assert result.output.rstrip().endswith("create_index_concurrently: the signal is back")


def test_replay_takes_a_path_too_and_prints_json(folder: Path) -> None:
    result = _called("replay", str(folder / "missing-index-001.json.gz"), "--json")

    row = json.loads(result.stdout)
    assert (row["cause"], row["component"], row["action"]) == (
        "missing_index",
        "orders-db",
        "create_index_concurrently",
    )
    assert row["checks"][0]["at_s"] > 0
    assert row["mitigated"]


def test_replay_of_all_is_a_line_each_and_says_by_its_exit_code_that_one_did_not_end(folder: Path) -> None:
    result = _called("replay", "--all", "--recordings", str(folder))

    assert len(result.output.splitlines()) == 2
    assert result.exit_code == 1


def test_replay_wants_one_recording_or_all(folder: Path) -> None:
    for arguments in ((), ("missing-index-001", "--all")):
        assert isinstance(_called("replay", "--recordings", str(folder), *arguments).exception, CommandFailed)


def test_a_recording_that_is_not_there_is_named(folder: Path) -> None:
    refused = _called("replay", "gone-001", "--recordings", str(folder)).exception

    assert isinstance(refused, CommandFailed)
    assert "gone-001.json.gz: cannot be read" in str(refused)


def test_the_report_is_one_page_that_fetches_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = _called("report", "--recordings", str(folder), "--out", str(out), "--cases", "2")

    assert result.exit_code == 0, result.output
    page = out.read_text(encoding="utf-8")
    assert "missing-index" in page
    assert page.count("<svg") >= 6
    assert not any(fetched in page for fetched in ("<script", "src=", "href=", "@import", "url("))


def test_a_broken_ledger_is_said(folder: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(b'{"n": 0}\n')
    refused = _called("report", "--recordings", str(folder), "--cases", "1", "--ledger", str(ledger)).exception

    assert isinstance(refused, CommandFailed)
    assert "line 1" in str(refused)


def test_record_does_not_write_over_what_is_there(folder: Path) -> None:
    refused = _called("record", "--out", str(folder)).exception

    assert isinstance(refused, CommandFailed)
    assert "--resume" in str(refused)


def test_record_knows_its_faults() -> None:
    refused = _called("record", "--faults", "no-such-fault").exception

    assert isinstance(refused, CommandFailed)
    assert "no-such-fault" in str(refused)


def test_record_with_nothing_left_to_do_starts_no_lab(folder: Path) -> None:
    result = _called("record", "--resume", "--out", str(folder), "--count", "1", "--faults", "missing-index")

    assert result.exit_code == 0, result.output
    assert "0 of 0 recorded" in result.output


def test_a_manifest_nobody_can_read_is_said(folder: Path) -> None:
    (folder / library.MANIFEST).write_text("{")

    assert isinstance(_called("record", "--resume", "--out", str(folder)).exception, UnusableRecording)


def test_record_anew_works_answers_out_again_and_leaves_what_was_measured(folder: Path) -> None:
    before = {one.id: one for one in library.read(folder)}
    first = _called("record", "--anew", "--out", str(folder))
    again = _called("record", "--anew", "--out", str(folder))

    assert first.exit_code == again.exit_code == 0, first.output
    assert again.stdout == "0 of 2 recordings have other answers now\n"
    after = {one.id: one for one in library.read(folder)}
    assert {name: (one.truth, one.load, one.samples) for name, one in before.items()} == {
        name: (one.truth, one.load, one.samples) for name, one in after.items()
    }


@pytest.mark.parametrize("also", [("--faults", "blip"), ("--count", "3"), ("--resume",)])
def test_record_anew_refuses_what_it_would_ignore(folder: Path, also: tuple[str, ...]) -> None:
    result = _called("record", "--anew", "--out", str(folder), *also)

    assert result.exit_code != 0
    assert "leave out --faults, --count and --resume" in str(result.exception or result.output)
