"""The loop as the process it is: killed, met by another, and with a ledger that somebody changed."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.bench.untuned import untuned, write_skills
from lab.learn.run import seed_tree
from lab.recordings import library
from tests.lab.conftest import eventually
from tests.lab.learn.scripted import contents
from tests.lab.recordings.examples import recording

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = 3


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for mechanism in ("missing_index", "connection_leak", "bad_deploy", "traffic_surge"):
        for number in range(1, 5):
            library.add(folder, recording(f"{mechanism.replace('_', '-')}-{number:03d}", mechanism=mechanism))
    return folder


def command(recordings: Path, out: Path, rounds: int = ROUNDS) -> list[str]:
    small = ["--window", "24", "--cap", "30", "--processes", "2"]
    place = ["--recordings", str(recordings), "--out", str(out)]
    return [sys.executable, "-m", "lab.learn", "--rounds", str(rounds), "--seed", "1", *place, *small]


def stanch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    subprocess.run(command(recordings, out), cwd=ROOT, check=True, timeout=120)
    return out


@pytest.fixture
def started(recordings: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(recordings, tmp_path, 500), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert eventually((tmp_path / "ledger.jsonl").exists, within_s=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_within_a_round(arguments: list[str], out: Path, rng: random.Random) -> bool:
    """Whether it was killed before its end: a while after it wrote something new. Nothing of it is left running."""
    before = (out / "ledger.jsonl").stat().st_size if (out / "ledger.jsonl").exists() else 0
    process = subprocess.Popen(arguments, cwd=ROOT, start_new_session=True)

    def went_on() -> bool:
        ledger = out / "ledger.jsonl"
        return process.poll() is not None or (ledger.exists() and ledger.stat().st_size > before)

    assert eventually(went_on, within_s=60)
    time.sleep(rng.uniform(0, 1.0))  # anywhere in the round that follows
    process.send_signal(signal.SIGKILL)
    ended = process.wait()
    assert eventually(lambda: not alive(process.pid), within_s=60), "its evaluator or its proposer outlived it"
    return ended == -signal.SIGKILL


def alive(group: int) -> bool:
    """One that has ended and that nobody has waited for does not count."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                return True
    return False


def test_killed_anywhere_and_started_again_it_ends_with_the_same_bytes(
    recordings: Path, whole: Path, tmp_path: Path
) -> None:
    rng = random.Random(20261122)  # noqa: S311 when to kill
    killed = [kill_within_a_round(command(recordings, tmp_path), tmp_path, rng) for _ in range(ROUNDS)]
    assert any(killed)
    subprocess.run(command(recordings, tmp_path), cwd=ROOT, check=True, timeout=120)
    assert contents(tmp_path) == contents(whole)


def test_a_second_loop_in_the_folder_is_refused_and_the_first_goes_on(
    started: subprocess.Popen[str], recordings: Path, tmp_path: Path
) -> None:
    second = stanch("learn", "--out", str(tmp_path), "--recordings", str(recordings), "--rounds", "3")
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"another stanch learn works in {tmp_path}" in second.stderr
    assert started.poll() is None


@pytest.mark.parametrize("wanted", [["verify"], ["history"], ["status"], ["revert", "0"], ["--rounds", "9"]])
def test_a_flipped_byte_is_refused_by_every_command(whole: Path, tmp_path: Path, wanted: list[str]) -> None:
    out = tmp_path / "flipped"
    shutil.copytree(whole, out)
    ledger = out / "ledger.jsonl"
    spoilt = bytearray(ledger.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    ledger.write_bytes(spoilt)
    told = stanch("learn", "--out", str(out), *wanted)
    assert told.returncode == 2
    assert "is not what was written there" in told.stderr
    assert "Traceback" not in told.stderr
    assert ledger.read_bytes() == bytes(spoilt)


def test_a_folder_without_a_skill_to_begin_with_is_refused(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    run = ("--out", str(tmp_path / "run"), "--recordings", str(recordings), "--rounds", "1")
    told = stanch("learn", *run, "--skills", str(tmp_path / "none"))
    assert told.returncode == 2
    assert "holds no skill" in told.stderr
    assert not (tmp_path / "run" / "ledger.jsonl").exists()


def test_skills_that_cannot_be_read_start_no_run(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "skills" / "broken").mkdir(parents=True)
    (tmp_path / "skills" / "broken" / "SKILL.md").write_text("no front matter")
    run = ("--out", str(tmp_path / "run"), "--recordings", str(recordings), "--rounds", "1")
    told = stanch("learn", *run, "--skills", str(tmp_path / "skills"))
    assert told.returncode == 2
    assert "skill broken: SKILL.md does not open with front matter" in told.stderr
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_run_does_not_go_on_from_other_skills(whole: Path, recordings: Path, tmp_path: Path) -> None:
    out, others = tmp_path / "run", write_skills(tmp_path / "skills", untuned(seed_tree()))
    shutil.copytree(whole, out)
    before = contents(out)
    told = stanch("learn", "--out", str(out), "--recordings", str(recordings), "--rounds", "9", "--skills", str(others))
    assert told.returncode == 2
    assert "seed_skills" in told.stderr
    assert contents(out) == before
