"""Ends recorded processes, and is itself the process that does so when their starter is gone.

Every started process leaves a record in the run directory. A `ProcessGroup` ends its own children; this
module also runs as a script (`python -I -S keeper.py RUN_DIR`, the leader of the process group), waits for its
standard input to close, which happens however its parent dies, and then ends what the records name. When the
keeper was killed too, the next start sweeps the same records. Linux only: it reads /proc.

A process is identified by pid, start time, boot and process group together, and signalled through a pidfd, so a
recycled pid is never hit. The command line is no part of the identity: servers rewrite theirs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

POLL_S = 0.02
KILL_WAIT_S = 5.0
ZOMBIE = ("Z", "X")


@dataclass(frozen=True, slots=True)
class Record:
    """One started process; `leftovers` are files or directories to remove once it has ended.

    `territory`: a working directory, and the `program` that only this server runs there. Empty: none. PostgreSQL's
    backends lead sessions of their own and, when somebody kills their postmaster, are nobody's children any more.
    """

    name: str
    pid: int
    group_id: int
    start_ticks: int
    boot_id: str
    stop_signal: int
    grace_s: float
    leftovers: tuple[str, ...] = ()
    program: str = ""
    territory: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """The part of /proc/PID/stat that says who a process is."""

    pid: int
    parent: int
    group_id: int
    start_ticks: int


def stat(pid: int) -> Stat | None:
    """None: no such process, or only its zombie is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in brackets and may itself hold spaces and brackets.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ZOMBIE:
        return None
    return Stat(pid, parent=int(fields[1]), group_id=int(fields[2]), start_ticks=int(fields[19]))


def pids() -> tuple[int, ...]:
    return tuple(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def all_stats() -> tuple[Stat, ...]:
    found = map(stat, pids())
    return tuple(each for each in found if each is not None)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def descendants(pid: int) -> tuple[Stat, ...]:
    """Children of children included, as they are now."""
    everyone = all_stats()
    found: list[Stat] = []
    parents = {pid}
    while parents:
        below = [each for each in everyone if each.parent in parents]
        found += below
        parents = {each.pid for each in below}
    return tuple(found)


def inhabitants(record: Record) -> tuple[Stat, ...]:
    """Processes of the record's program in its territory, whoever their parent is."""
    if not record.territory:
        return ()
    return tuple(each for each in all_stats() if place_of(each.pid) == (record.territory, record.program))


def place_of(pid: int) -> tuple[str, str] | None:
    """Working directory and program; None: gone, or not ours to look at."""
    try:
        process = Path(f"/proc/{pid}")
        return str((process / "cwd").readlink()), str((process / "exe").readlink())
    except OSError:
        return None


def alive(record: Record) -> bool:
    now = stat(record.pid)
    return (
        now is not None
        and now.start_ticks == record.start_ticks
        and now.group_id == record.group_id
        and record.boot_id == boot_id()
    )


def signal_exactly(pid: int, start_ticks: int, number: int) -> None:
    """Send a signal to this very process, or to nobody."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        now = stat(pid)
        if now is not None and now.start_ticks == start_ticks:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def wait_until_gone(record: Record, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while alive(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def end(record: Record) -> None:
    """Ask, wait out the grace, kill; then whatever the process had started itself, and its leftovers."""
    if alive(record):
        below = descendants(record.pid)
        signal_exactly(record.pid, record.start_ticks, record.stop_signal)
        if not wait_until_gone(record, record.grace_s):
            signal_exactly(record.pid, record.start_ticks, signal.SIGKILL)
            wait_until_gone(record, KILL_WAIT_S)
        for each in below:
            signal_exactly(each.pid, each.start_ticks, signal.SIGKILL)
    end_inhabitants(record)
    remove_leftovers(record)


def end_inhabitants(record: Record) -> None:
    deadline = time.monotonic() + KILL_WAIT_S
    while (left := inhabitants(record)) and time.monotonic() < deadline:
        for each in left:
            signal_exactly(each.pid, each.start_ticks, signal.SIGKILL)
        time.sleep(POLL_S)


def remove_leftovers(record: Record) -> None:
    for leftover in map(Path, record.leftovers):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write(record: Record, path: Path) -> None:
    """Whole or not at all: a reader never meets half a record."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(record)), encoding="utf-8")
    unfinished.rename(path)


def read(path: Path) -> Record | None:
    """None: not a record this version can read."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**fields, "leftovers": tuple(fields["leftovers"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def sweep(run_dir: Path) -> tuple[str, ...]:
    """End everything the directory's records name, last started first, and remove the records.

    Returns the names of the processes that were still running.
    """
    paths = sorted(run_dir.glob("*.process.json"), reverse=True)
    records = [(path, record) for path in paths if (record := read(path)) is not None]
    running = tuple(record for _, record in records if alive(record))
    # A group id is ours only while a process we recorded is still in the group.
    groups = {record.group_id for record in running}
    strays = [each for each in all_stats() if each.group_id in groups and each.pid != os.getpid()] if groups else []
    for path, record in records:
        end(record)
        path.unlink(missing_ok=True)
    for each in strays:
        signal_exactly(each.pid, each.start_ticks, signal.SIGKILL)
    for path in paths:
        path.unlink(missing_ok=True)
    return tuple(record.name for record in running)


def main() -> None:
    """Wait for the parent to go (end of file on standard input), then end its processes and this group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run_dir = Path(sys.argv[1])
    while sys.stdin.buffer.read(1):
        pass
    sweep(run_dir)
    with suppress(OSError):
        (run_dir / "lock").unlink()
    # Also what was started in the instant before its record was written; this process is in the group too.
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
