"""Which labs there are, whose folders they are, and how a dead one is put away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from connectors.embedded import keeper
from connectors.embedded.process import ProcessGroup, plain_environment
from lab.production import free_place
from lab.running import FILE, Running, places, take_down
from lab.stack import ROOT
from tests.lab.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_A_LAB_WITH_ONE_CHILD = """
import sys, time
from pathlib import Path
from connectors.embedded.process import ProcessGroup, plain_environment
place = Path(sys.argv[1])
group = ProcessGroup(place / "run", lambda line: None)
child = group.start("sleeper", ["/bin/sleep", "600"], log_path=place / "logs" / "sleeper.log", ready=lambda: True,
                    env=plain_environment())
print(child.pid, group._keeper.pid, flush=True)
time.sleep(600)
"""


def _running(place: Path, pid: int) -> Running:
    return Running(
        place=str(place), pid=pid, since=1.0, rows=1000, seed=None, url="http://127.0.0.1:1", login_url="",
        data_path=str(place / "data"), api_token="t", hook_token="h", prometheus_url="http://127.0.0.1:2",
        load_url="http://127.0.0.1:3", admin_dsn="", app_dsn="", controls={"orders": "http://127.0.0.1:4/control"},
    )  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """With a lab that this process runs; only its group of processes, which has none."""
    with ProcessGroup(tmp_path / "lab" / "run", lambda _line: None):
        yield tmp_path / "lab"


def test_a_lab_is_starting_until_it_says_that_it_is_up(base: Path) -> None:
    before = places(base)
    _running(base, os.getpid()).save()
    after = places(base)

    assert [(place.owner, place.state) for place in before] == [(os.getpid(), "starting")]
    assert [place.state for place in after] == ["up"]
    assert after[0].running == _running(base, os.getpid())


def test_what_it_says_of_itself_is_for_its_owner_alone(base: Path) -> None:
    _running(base, os.getpid()).save()

    assert (base / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"pid": 1, "unknown": 2})])
def test_a_file_that_is_damaged_says_nothing(base: Path, text: str) -> None:
    (base / FILE).write_text(text, encoding="utf-8")

    assert [place.running for place in places(base)] == [None]


def test_what_a_killed_lab_said_is_not_taken_for_the_one_that_starts_there_now(base: Path) -> None:
    _running(base, os.getpid() + 1).save()

    assert [place.state for place in places(base)] == ["starting"]


def test_the_second_lab_gets_a_folder_of_its_own(base: Path) -> None:
    assert free_place(base) == base.with_name("lab-2")
    with ProcessGroup(base.with_name("lab-2") / "run", lambda _line: None):
        assert free_place(base) == base.with_name("lab-3")
        assert [place.path.name for place in places(base)] == ["lab", "lab-2"]
    assert free_place(base) == base.with_name("lab-2")


def test_a_fault_is_told_which_processes_can_be_asked(base: Path) -> None:
    running = _running(base, 1)

    assert running.control("orders") == "http://127.0.0.1:4/control"
    with pytest.raises(ValueError, match="orders-db"):
        running.control("orders-db")
    assert Running(**json.loads(json.dumps(asdict(running)))) == running


@pytest.mark.integration
def test_what_a_killed_lab_left_running_is_ended_and_its_folder_goes_and_no_other(tmp_path: Path) -> None:
    base, other = tmp_path / "lab", tmp_path / "lab-notes"
    other.mkdir()
    lab = subprocess.Popen(
        [sys.executable, "-c", _A_LAB_WITH_ONE_CHILD, str(base)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=plain_environment(PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert lab.stdout is not None
    with lab.stdout:
        child, its_keeper = map(int, lab.stdout.readline().split())
    assert [place.state for place in places(base)] == ["starting"]
    os.kill(its_keeper, signal.SIGKILL)
    lab.kill()
    lab.wait()
    assert eventually(lambda: [place.state for place in places(base)] == ["dead"])
    assert keeper.stat(child) is not None

    for place in places(base):
        take_down(place, lambda _line: None)

    assert eventually(lambda: keeper.stat(child) is None)
    assert not base.exists()
    assert other.exists()
