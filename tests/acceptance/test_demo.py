"""`stanch demo` stopped half-way, or unable to start, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.embedded import keeper
from connectors.embedded.process import plain_environment, port_is_taken
from lab.stack import ROOT
from tests.acceptance.scene import eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

pytestmark = pytest.mark.acceptance

INTERRUPTED = 130
LISTENING = "0A"
"""State of a socket in /proc/net/tcp."""


class Demo:
    """The command as a terminal runs it: the leader of a process group of its own, which Ctrl-C reaches whole."""

    def __init__(self, data_dir: Path, path: str) -> None:
        self.run_dir = data_dir / "demo" / "run"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "demo", "--rows", "200000"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**plain_environment(PYTHONUNBUFFERED="1", STANCH_DATA_DIR=os.fspath(data_dir)), "PATH": path},
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())

    def said(self, text: str) -> bool:
        assert self.process.poll() is None or any(text in line for line in self.lines), self.lines
        return any(text in line for line in self.lines)

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> int:
        """The exit code; its output is complete then."""
        code = self.process.wait(180)
        self._reader.join(30)
        return code

    def started(self) -> set[str]:
        """Names of the children on record."""
        records = self.run_dir.glob("*.process.json")
        return {path.name.removesuffix(".process.json").partition("-")[2] for path in records}

    def group_id(self) -> int:
        """Of every child; the keeper leads it."""
        children = keeper.descendants(self.process.pid)
        return next(one.pid for one in children if one.pid == one.group_id)


def ports_of(group_id: int) -> set[int]:
    """What the group's processes listen on."""
    inodes = set()
    for one in keeper.all_stats():
        if one.group_id != group_id:
            continue
        with suppress(OSError):
            inodes |= {os.fspath(entry.readlink()) for entry in Path(f"/proc/{one.pid}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in inodes}


def servers_under(place: Path) -> list[int]:
    """Processes that work inside the folder or were told of it, PostgreSQL's in its private place among them."""
    found = []
    for pid in keeper.pids():
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            here = os.fspath(Path(f"/proc/{pid}/cwd").readlink())
            if os.fsencode(place) in command or here.startswith(os.fspath(place)):
                found.append(pid)
    return found


@contextmanager
def demo(data_dir: Path, path: str = os.environ["PATH"]) -> Iterator[Demo]:
    """Killed in the end if it still runs: then its keeper ends the rest."""
    running = Demo(data_dir, path)
    try:
        yield running
    finally:
        running.process.kill()
        running.ended()
        if running.process.stdout is not None:
            running.process.stdout.close()


def nothing_is_left(data_dir: Path, group_id: int | None = None, ports: Collection[int] = ()) -> None:
    assert servers_under(data_dir) == []
    assert [one for one in keeper.all_stats() if one.group_id == group_id] == []
    assert [port for port in ports if port_is_taken(port)] == []
    assert list((data_dir / "demo" / "run").glob("*")) == []
    assert [path for path in data_dir.rglob("*") if path.is_socket()] == []
    assert not (data_dir / "cli.json").exists()


def test_ctrl_c_while_servers_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        eventually("servers are being started", lambda: {"target", "store"} & running.started())
        group_id = running.group_id()
        ports = ports_of(group_id)
        running.press_ctrl_c()

        assert running.ended() == INTERRUPTED
        assert "nothing is left running" in running.lines[-1]
        nothing_is_left(tmp_path, group_id, ports)


def test_ctrl_c_under_normal_load_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        eventually("the load runs", lambda: running.said("normal load"), within_s=240)
        group_id = running.group_id()
        ports = ports_of(group_id)
        assert {"store", "broker", "target", "serve", "worker-agent", "worker-causal", "executor"} < running.started()
        assert ports
        running.press_ctrl_c()

        assert running.ended() == INTERRUPTED
        assert "nothing is left running" in running.lines[-1]
        nothing_is_left(tmp_path, group_id, ports)


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder where every account may run what is in it: as root the servers run as another one."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="stanch-programs-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


def test_a_server_that_cannot_start_ends_the_demo_with_one_line_and_nothing_left(
    tmp_path: Path, programs: Path
) -> None:
    broken = programs / "valkey-server"
    broken.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "Valkey server v=9.9.9"; exit 0; fi\n'
        'echo "cannot allocate memory"\nexit 1\n',
        encoding="utf-8",
    )
    broken.chmod(0o755)
    with demo(tmp_path, path=f"{programs}{os.pathsep}{os.environ['PATH']}") as running:
        code = running.ended()

        assert code == 2, running.lines
        [line] = [one for one in running.lines if one.startswith("stanch:")]
        assert running.lines[-1] == line
        assert "broker did not start, it ended with exit code 1: cannot allocate memory" in line
        assert "broker.log" in line
        nothing_is_left(tmp_path)
