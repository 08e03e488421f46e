from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.embedded import keeper
from connectors.embedded.process import (
    Child,
    ProcessGroup,
    ServerFailed,
    free_port,
    last_lines,
    plain_environment,
    port_is_taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]

# Says that it is up, and on SIGTERM writes its name before it goes.
POLITE = """\
import pathlib, signal, sys
name, up, ended = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
def leave(*_):
    with ended.open("a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
up.touch()
while True: signal.pause()
"""
STUBBORN = """\
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True: signal.pause()
"""
# Starts a grandchild that would outlive it, and says the grandchild's pid.
PARENT = """\
import pathlib, subprocess, sys, signal
below = subprocess.Popen(["sleep", "600"])
up = pathlib.Path(sys.argv[1])
up.with_suffix(".new").write_text(str(below.pid))
up.with_suffix(".new").rename(up)
while True: signal.pause()
"""
# A process of its own that holds a group with one child until it is killed.
OWNER = """\
import pathlib, signal, sys
from connectors.embedded.process import ProcessGroup, plain_environment
place = pathlib.Path(sys.argv[1])
group = ProcessGroup(place / "run", lambda text: None)
group.start("server", ["sleep", "600"], log_path=place / "log", ready=lambda: True, env=plain_environment(),
            leftovers=[place / "left"])
(place / "left").touch()
(place / "up").touch()
while True: signal.pause()
"""


def quiet(_: str) -> None:
    return


def eventually(condition: Callable[[], bool]) -> bool:
    """Patience of a minute; how long it really took is no part of any test."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start_python(group: ProcessGroup, name: str, code: str, place: Path, *arguments: str) -> Child:
    up = place / f"{name}.up"
    return group.start(
        name,
        [sys.executable, "-c", code, *arguments],
        log_path=place / f"{name}.log",
        ready=up.exists,
        env=plain_environment(),
        grace_s=0.5,
    )


def start_owner(place: Path) -> tuple[subprocess.Popen[bytes], keeper.Record]:
    environment = {**plain_environment(), "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, place], env=environment)
    assert eventually((place / "up").exists)
    (path,) = (place / "run").glob("*.process.json")
    record = keeper.read(path)
    assert record is not None
    return owner, record


def test_children_end_in_reverse_order_and_nothing_is_left(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    with ProcessGroup(tmp_path / "run", quiet) as group:
        children = [
            start_python(group, name, POLITE, tmp_path, name, str(tmp_path / f"{name}.up"), str(ended))
            for name in ("store", "broker", "api")
        ]
        assert {os.getpgid(child.pid) for child in children} == {children[0].record.group_id}
        assert os.getpgid(children[0].pid) != os.getpgid(0)
    assert ended.read_text().split() == ["api", "broker", "store"]
    assert all(keeper.stat(child.pid) is None for child in children)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_child_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        child = start_python(group, "stubborn", STUBBORN, tmp_path, str(tmp_path / "stubborn.up"))
        group.end("stubborn")
        assert child.exit_code() == -signal.SIGKILL


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        start_python(group, "parent", PARENT, tmp_path, str(tmp_path / "parent.up"))
        below = int((tmp_path / "parent.up").read_text())
        assert keeper.stat(below) is not None
        group.end("parent")
        assert eventually(lambda: keeper.stat(below) is None)


def test_a_server_that_ends_at_once_is_one_line_with_its_last_words_and_log(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        (tmp_path / "broken.log").write_text("a line of yesterday\n")
        with pytest.raises(ServerFailed) as failed:
            start_python(group, "broken", "import sys; sys.exit('no\\tsuch  disk')", tmp_path)
        assert group.children() == ()
        assert list((tmp_path / "run").glob("*.json")) == []
    assert str(failed.value) == (
        f"broken did not start, it ended with exit code 1: no such disk (log: {tmp_path / 'broken.log'})"
    )


def test_a_silent_failure_does_not_quote_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "broken.log").write_text("a line of yesterday\n")
    with ProcessGroup(tmp_path / "run", quiet) as group, pytest.raises(ServerFailed) as failed:
        start_python(group, "broken", "import os; os._exit(3)", tmp_path)
    assert "yesterday" not in str(failed.value)


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        with pytest.raises(ServerFailed, match="slow was not ready after 0 s"):
            group.start(
                "slow",
                ["sleep", "600"],
                log_path=tmp_path / "log",
                ready=lambda: False,
                env=plain_environment(),
                timeout_s=0.2,
            )
        assert group.children() == ()


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group, pytest.raises(ServerFailed) as failed:
        group.start(
            "ghost", ["/no/such/program"], log_path=tmp_path / "log", ready=lambda: True, env=plain_environment()
        )
    assert str(failed.value).startswith("ghost cannot start: /no/such/program: ")
    assert "\n" not in str(failed.value)


def test_a_port_that_is_taken_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ProcessGroup(tmp_path / "run", quiet) as group:
        port = other.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"store cannot start: port {port} on 127.0.0.1 is taken"):
            group.start(
                "store",
                ["sleep", "600"],
                log_path=tmp_path / "log",
                ready=lambda: True,
                env=plain_environment(),
                port=port,
            )
        assert group.children() == ()


def test_a_free_port_is_free_and_no_clients_port() -> None:
    port = free_port()
    assert not port_is_taken(port)
    assert port < 32768


def test_a_server_that_dies_is_named(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        child = start_python(group, "store", POLITE, tmp_path, "store", str(tmp_path / "store.up"), str(tmp_path / "e"))
        group.check()
        child.signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL
        with pytest.raises(ServerFailed, match="store was ended by SIGKILL"):
            group.check()


def test_a_killed_owner_takes_its_children_along(tmp_path: Path) -> None:
    owner, record = start_owner(tmp_path)
    owner.kill()
    owner.wait()
    assert eventually(lambda: not keeper.alive(record))
    assert eventually(lambda: list((tmp_path / "run").iterdir()) == [])
    assert not (tmp_path / "left").exists()


def test_the_next_start_sweeps_what_even_the_keeper_left(tmp_path: Path) -> None:
    owner, record = start_owner(tmp_path)
    os.kill(record.group_id, signal.SIGKILL)  # the keeper leads the group
    owner.kill()
    owner.wait()
    assert keeper.alive(record)
    said: list[str] = []
    with ProcessGroup(tmp_path / "run", said.append):
        assert not keeper.alive(record)
        assert said == ["ended server, left over from an earlier run"]
        assert not (tmp_path / "left").exists()


@pytest.mark.parametrize("stranger", ["start_ticks", "group_id", "boot_id"])
def test_a_recycled_pid_is_never_signalled(tmp_path: Path, stranger: str) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        now = keeper.stat(bystander.pid)
        assert now is not None
        true = keeper.Record("old", bystander.pid, now.group_id, now.start_ticks, keeper.boot_id(), signal.SIGTERM, 1.0)
        assert keeper.alive(true)
        changes = {"start_ticks": now.start_ticks - 1, "group_id": now.group_id + 1, "boot_id": "another boot"}
        fields = {name: getattr(true, name) for name in keeper.Record.__slots__} | {stranger: changes[stranger]}
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        keeper.write(keeper.Record(**fields), run_dir / "0001-old.process.json")
        said: list[str] = []
        with ProcessGroup(run_dir, said.append):
            assert bystander.poll() is None
        assert said == []
        assert list(run_dir.iterdir()) == []
    finally:
        bystander.kill()
        bystander.wait()


def test_a_broken_record_is_removed(tmp_path: Path) -> None:
    (tmp_path / "0001-x.process.json").write_text('{"pid": 1')
    with ProcessGroup(tmp_path, quiet):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_directory_in_use_is_refused_and_its_servers_live_on(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as first:
        child = start_python(first, "store", POLITE, tmp_path, "store", str(tmp_path / "store.up"), str(tmp_path / "e"))
        with pytest.raises(ServerFailed, match=f"is in use by process {os.getpid()}; stop that one first"):
            ProcessGroup(tmp_path / "run", quiet)
        assert child.exit_code() is None


def test_nothing_starts_once_the_end_has_begun(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path / "run", quiet)
    group.end_all()
    group.end_all()
    with pytest.raises(ServerFailed, match="everything is being stopped"):
        group.start("late", ["sleep", "1"], log_path=tmp_path / "log", ready=lambda: True, env=plain_environment())


def test_a_server_sees_none_of_our_secrets() -> None:
    assert set(plain_environment(EXTRA="1")) == {"PATH", "LC_ALL", "HOME", "EXTRA"}


def test_a_log_that_is_not_there_has_no_last_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "log") == ()
    (tmp_path / "log").write_bytes(b"one\n\n\xfftwo\n")
    assert last_lines(tmp_path / "log", 1) == ("\ufffdtwo",)


def test_children_started_from_threads_outlive_their_threads(tmp_path: Path) -> None:
    names = ("store", "target", "broker")
    with ProcessGroup(tmp_path / "run", quiet) as group:
        with ThreadPoolExecutor() as pool:
            starts = [
                pool.submit(
                    start_python, group, name, POLITE, tmp_path, name, str(tmp_path / f"{name}.up"), str(tmp_path / "e")
                )
                for name in names
            ]
        group.check()
        assert {child.name for child in group.children()} == set(names)
        assert {start.result().exit_code() for start in starts} == {None}
    assert sorted((tmp_path / "e").read_text().split()) == sorted(names)
