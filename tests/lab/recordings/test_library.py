from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.replay.case import Said
from lab.recordings import library
from lab.recordings.recording import SUFFIX, UnusableRecording, read_file, to_bytes
from tests.lab.recordings.examples import recording

if TYPE_CHECKING:
    from pathlib import Path


def _rewritten(path: Path, change: dict[str, object]) -> None:
    data = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps({**data, **change}).encode()))


def test_a_recording_comes_back_as_it_was_written(tmp_path: Path) -> None:
    one, other = recording("missing-index-001"), recording("blip-001", mechanism="no_fault")
    for each in (one, other):
        library.add(tmp_path, each)

    assert library.read(tmp_path) == (other, one)
    assert library.read_manifest(tmp_path).counts() == {"missing-index": 1, "blip": 1}


def test_the_same_recording_is_the_same_bytes() -> None:
    assert to_bytes(recording("a-001")) == to_bytes(recording("a-001"))


def test_recording_it_again_replaces_it(tmp_path: Path) -> None:
    library.add(tmp_path, recording("a-001"))
    library.add(tmp_path, replace(recording("a-001"), seed=9))

    (only,) = library.read(tmp_path)
    assert only.seed == 9


def test_a_figure_that_is_no_number_is_not_written() -> None:
    bad = replace(recording("a-001"), answers={"database:x": (Said("no", "", {"share": float("nan")}, 0.1),)})

    with pytest.raises(ValueError, match="JSON compliant"):
        to_bytes(bad)


def test_a_case_says_that_it_was_recorded() -> None:
    made = recording("blip-001", mechanism="no_fault").case()

    assert made.strata == {"recorded", "benign"}
    assert made.family == "no_fault/StorefrontSlow/x1/shop"
    assert made.step_s == 6.0


def test_other_bytes_than_the_manifest_says_name_the_file(tmp_path: Path) -> None:
    path = library.add(tmp_path, recording("a-001"))
    flipped = bytearray(path.read_bytes())
    flipped[-9] ^= 1
    path.write_bytes(bytes(flipped))

    with pytest.raises(UnusableRecording, match=r"a-001\.json\.gz: its bytes are not those of the manifest"):
        library.read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    library.add(tmp_path, recording("a-001")).unlink()

    with pytest.raises(UnusableRecording, match=r"a-001\.json\.gz: cannot be read"):
        library.read(tmp_path)


def test_half_a_file_is_named(tmp_path: Path) -> None:
    path = library.add(tmp_path, recording("a-001"))
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(UnusableRecording, match=r"a-001\.json\.gz: is no whole gzip file"):
        read_file(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"v": 2}, "is no recording of version 1"),
        ({"truth": {"fault": "x"}}, "truth.component: "),
        ({"id": "../../etc/passwd"}, "is no plain name"),
        ({"looked_at": []}, "looked_at must name"),
        ({"looked_at": [5.0, 4.0]}, "looked_at must name"),
        ({"answers": {"database:x": []}}, "was not answered once a look"),
        ({"answers": {"database:x": [{"status": "maybe", "summary": "", "data": {}, "seconds": 1}]}}, "status"),
    ],
)
def test_what_is_no_recording_says_why(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = library.add(tmp_path, recording("a-001"))
    _rewritten(path, change)

    with pytest.raises(UnusableRecording, match=r"a-001\.json\.gz") as refused:
        read_file(path)
    assert why in str(refused.value)


def test_a_mechanism_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = library.add(tmp_path, recording("a-001", mechanism="gremlins"))

    with pytest.raises(UnusableRecording, match="no mechanism is named 'gremlins'"):
        read_file(path)


def test_not_a_number_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"a-001{SUFFIX}"
    path.write_bytes(gzip.compress(b'{"v": 1, "seed": NaN}'))

    with pytest.raises(UnusableRecording, match="NaN is no number"):
        read_file(path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"bomb{SUFFIX}"
    path.write_bytes(gzip.compress(b" " * 21_000_000))

    with pytest.raises(UnusableRecording, match="unpacks to more than"):
        read_file(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ('{"v": 7}', "no manifest of version 1"),
        ('{"v": 1, "recordings": [{}]}', "no list of rows"),
        ('{"v": 1, "recordings": [{"file": "../x.json.gz", "sha256": ""}]}', "no name of a recording in this folder"),
    ],
)
def test_a_manifest_that_is_none_says_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / library.MANIFEST).write_text(text)

    with pytest.raises(UnusableRecording, match=why):
        library.read(tmp_path)


def test_a_folder_without_recordings_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(UnusableRecording, match="stanch lab record"):
        library.read(tmp_path)
