"""Starts servers as child processes of one process group and ends every one of them.

A `ProcessGroup` restarts nothing and prints nothing. Its children sit in a process group of their own, so Ctrl-C
in the terminal reaches only the parent, which ends them in reverse order. If the parent dies without doing so,
the group's keeper (keeper.py) does it; if the keeper is killed too, the next start in the same run directory does.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from connectors.embedded import keeper

if TYPE_CHECKING:
    from types import TracebackType

    from connectors.embedded.account import Account

Progress = Callable[[str], None]

LAST_LINES = 20
POLL_S = 0.05
# Below Linux's default range for outgoing connections (32768 and up): a server that is down for a while must not
# lose its port to somebody's client socket.
PORTS = range(20000, 32000)
LOG_TAIL_BYTES = 16_384


class ServerFailed(Exception):
    """A server did not start, or is gone; `str()` is one line that names it and its log."""

    def __init__(self, name: str, reason: str, log_path: Path | None = None, last_lines: Sequence[str] = ()) -> None:
        self.name = name
        self.reason = reason
        self.log_path = log_path
        self.last_lines = tuple(last_lines)
        super().__init__(name, reason)

    def __str__(self) -> str:
        said = f": {self.last_lines[-1].strip()}" if self.last_lines else ""
        log = f" (log: {self.log_path})" if self.log_path else ""
        return " ".join(f"{self.name} {self.reason}{said}{log}".split())


def free_port() -> int:
    """A loopback TCP port that nobody listens on now; somebody else may take it before you do."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if not port_is_taken(port):
            return port
    raise ServerFailed("loopback", f"has no free port between {PORTS.start} and {PORTS.stop}")


def port_is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection of an earlier run in TIME_WAIT is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def plain_environment(**extra: str) -> dict[str, str]:
    """What a server may see of ours: the search path and nothing else, so no secret leaks into it."""
    return {"PATH": os.pathsep.join(os.get_exec_path()), "LC_ALL": "C", "HOME": "/", **extra}


def last_lines(log_path: Path, count: int = LAST_LINES) -> tuple[str, ...]:
    """The end of a log; empty when there is none."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-count:]


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


@dataclass(frozen=True, slots=True)
class Child:
    """A started process; it may have ended since."""

    name: str
    log_path: Path
    log_offset: int
    popen: subprocess.Popen[bytes]
    record: keeper.Record
    record_path: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self.popen.poll()

    def signal(self, number: signal.Signals) -> None:
        keeper.signal_exactly(self.record.pid, self.record.start_ticks, number)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or None when it still runs after that time."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def failure(self, reason: str) -> ServerFailed:
        # Only what this start wrote: an older line would blame the wrong run.
        fresh = self.log_path.stat().st_size > self.log_offset if self.log_path.exists() else False
        return ServerFailed(self.name, reason, self.log_path, last_lines(self.log_path) if fresh else ())


@dataclass(frozen=True, slots=True)
class _Launch:
    """What `ProcessGroup.start` was asked for."""

    name: str
    argv: Sequence[str | Path]
    log_path: Path
    env: Mapping[str, str]
    cwd: Path
    account: Account | None
    stdin: str
    stop_signal: signal.Signals
    grace_s: float
    leftovers: Sequence[Path]
    territory: Path | None


class ProcessGroup:
    """Children that start and end together; safe to call from several threads.

    `run_dir` holds their records and a lock: a second group in the same directory is refused while the first lives,
    and what an earlier one left running is ended first. Leave it as a context manager or by `end_all()`.
    """

    def __init__(self, run_dir: Path, progress: Progress) -> None:
        self.run_dir = run_dir
        self._progress = progress
        self._children: dict[str, Child] = {}
        self._count = 0
        self._closed = False
        self._guard = threading.Lock()
        run_dir.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        for name in keeper.sweep(run_dir):
            progress(f"ended {name}, left over from an earlier run")
        self._keeper = self._start_keeper()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_all()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str],
        cwd: Path = Path("/"),
        account: Account | None = None,
        port: int | None = None,
        stdin: str = "",
        timeout_s: float = 30.0,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10.0,
        leftovers: Sequence[Path] = (),
        territory: Path | None = None,
    ) -> Child:
        """Start a process and return once `ready()` says so; the log is appended to.

        `account` None: runs as we do. `port`: checked to be free first. `leftovers` are removed after the end,
        however it ends; `territory`: see keeper.Record.
        Raises ServerFailed when it ends or is not ready in time; it is then gone.
        """
        if port is not None and port_is_taken(port):
            raise ServerFailed(name, f"cannot start: port {port} on 127.0.0.1 is taken", log_path)
        child = self._spawn(
            _Launch(name, argv, log_path, env, cwd, account, stdin, stop_signal, grace_s, leftovers, territory)
        )
        try:
            self._wait_until_ready(child, ready, timeout_s)
        except BaseException:
            self.end(name)
            raise
        return child

    def end(self, name: str) -> None:
        """End one child and what it started; nothing happens when it is not there."""
        with self._guard:
            child = self._children.pop(name, None)
        if child is None:
            return
        keeper.end(child.record)
        child.popen.wait()
        child.record_path.unlink(missing_ok=True)

    def end_all(self) -> None:
        """End every child, last started first, and the keeper; the group cannot be used again."""
        with self._guard:
            self._closed = True
        for name in reversed(tuple(self._children)):
            self.end(name)
        if self._keeper.poll() is None:
            # The keeper leads the group, so the group's id is certain to be ours; it ends with the rest.
            with suppress(ProcessLookupError):
                os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        if not self._lock.closed:
            (self.run_dir / "lock").unlink(missing_ok=True)
            self._lock.close()

    def check(self) -> None:
        """Raise ServerFailed for the first child that has ended by itself."""
        for child in tuple(self._children.values()):
            code = child.exit_code()
            if code is not None:
                raise child.failure(describe_exit(code))

    def children(self) -> tuple[Child, ...]:
        return tuple(self._children.values())

    def _spawn(self, launch: _Launch) -> Child:
        name, log_path = launch.name, launch.log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard, log_path.open("ab") as log:
            if self._closed:
                raise ServerFailed(name, "cannot start: everything is being stopped", log_path)
            if name in self._children:
                raise ServerFailed(name, "is already running", log_path)
            offset = log.tell()
            popen = self._popen(launch, log)
            now = keeper.stat(popen.pid)
            self._count += 1
            record = keeper.Record(
                name=name,
                pid=popen.pid,
                group_id=self._keeper.pid,
                start_ticks=now.start_ticks if now else -1,  # -1: it has already ended and matches nothing
                boot_id=keeper.boot_id(),
                stop_signal=launch.stop_signal,
                grace_s=launch.grace_s,
                leftovers=tuple(map(str, launch.leftovers)),
                program=os.path.realpath(launch.argv[0]),
                territory=os.path.realpath(launch.territory) if launch.territory else "",
            )
            path = self.run_dir / f"{self._count:04d}-{name}.process.json"
            keeper.write(record, path)
            child = Child(name, log_path, offset, popen, record, path)
            self._children[name] = child
            return child

    def _popen(self, launch: _Launch, log: IO[bytes]) -> subprocess.Popen[bytes]:
        account = launch.account
        try:
            popen = subprocess.Popen(
                [os.fspath(part) for part in launch.argv],
                stdin=subprocess.PIPE if launch.stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(launch.env),
                cwd=launch.cwd,
                umask=0o077,
                process_group=self._keeper.pid,
                **(account.popen_arguments() if account else {}),
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"cannot start: {launch.argv[0]}: {error}"
            raise ServerFailed(launch.name, reason, launch.log_path) from error
        if popen.stdin is not None:
            # Configuration of a few lines, far below a pipe's 64 KiB: the write cannot block.
            with suppress(BrokenPipeError), popen.stdin as pipe:
                pipe.write(launch.stdin.encode())
        return popen

    def _wait_until_ready(self, child: Child, ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            is_ready = ready()
            # Asked after `ready`, so another server's answer on the same address cannot pass for this one's.
            code = child.exit_code()
            if code is not None:
                raise child.failure(f"did not start, it {describe_exit(code)}")
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready after {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def _take_lock(self, timeout_s: float = 30.0) -> IO[str]:
        path = self.run_dir / "lock"
        deadline = time.monotonic() + timeout_s
        while True:
            lock = path.open("a+", encoding="ascii")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip()
                lock.close()
                # The owner's keeper holds the lock too, for the seconds it needs to end what a dead owner left.
                if (owner.isdigit() and keeper.stat(int(owner)) is not None) or time.monotonic() > deadline:
                    raise ServerFailed(
                        str(self.run_dir), f"is in use by process {owner}; stop that one first"
                    ) from None
                time.sleep(POLL_S)
                continue
            if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                break
            lock.close()  # the file was removed between open and lock by the run that just ended
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, os.fspath(self.run_dir.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=plain_environment(),
            cwd="/",
            process_group=0,
            pass_fds=(self._lock.fileno(),),
        )
