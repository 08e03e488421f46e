"""Servers out of Debian's packages, unpacked into a cache: no root, nothing installed on the machine.

apt checks its signed lists and every package against them; only the unpacking is ours. Works on Debian and its
children. Where the machine has no package lists (a bare container), lists of our own are fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from connectors.embedded.process import ServerFailed, last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.embedded.process import Progress

FETCH_TIMEOUT_S = 300


def program_from_package(package: str, program: str, cache_dir: Path, advice: str, progress: Progress) -> Path:
    """The program inside the unpacked package, fetched the first time. Raises ServerFailed with `advice`."""
    root = cache_dir / "debian" / package
    found = root / "usr" / "bin" / program
    if found.is_file():
        return found
    if not all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb")):
        raise ServerFailed(program, f"not found, and this is no Debian to fetch it from: {advice}")
    root.parent.mkdir(parents=True, exist_ok=True)
    log_path = root.parent / f"{package}.log"
    unfinished = root.parent / f"{package}.{os.getpid()}"
    try:
        with log_path.open("w", encoding="utf-8") as log:
            progress(f"{program}: fetching Debian's package {package} (once, into {root.parent})")
            archive = _download(package, unfinished, log_path, log.fileno(), progress)
            _run(["dpkg-deb", "-x", archive, unfinished / "root"], unfinished, log.fileno())
        if not (unfinished / "root" / "usr" / "bin" / program).is_file():
            raise ServerFailed(program, f"is not in Debian's package {package}: {advice}", log_path)
        shutil.rmtree(root, ignore_errors=True)
        (unfinished / "root").rename(root)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"not found, and Debian's package {package} could not be fetched: {advice}"
        raise ServerFailed(program, reason, log_path, last_lines(log_path)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return found


def data_beside(program: Path, data_dir: str) -> tuple[Path, Path]:
    """A copy of an unpacked program that looks for its data in its working directory, and that directory.

    Debian builds some programs to read files under /usr/share by absolute path; unpacked elsewhere they would not
    start. The path inside the copy is overwritten by one of the same length that means "here". A program without
    the path is returned as it is.
    """
    path = data_dir.encode()
    here = (b"./" * len(path))[: len(path)] if len(path) % 2 == 0 else b"." + b"/." * (len(path) // 2)
    unpacked = program.read_bytes()
    data = program.parents[2] / data_dir.lstrip("/")
    if path not in unpacked:
        return program, data
    copy = program.with_name(f"{program.name}.here")
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        unfinished.write_bytes(unpacked.replace(path, here))
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy, data


def _download(package: str, directory: Path, log_path: Path, log: int, progress: Progress) -> Path:
    """The package's file, by the machine's lists or else, when they are missing or stale, by fresh ones of our own."""
    directory.mkdir(parents=True)
    download = ["download", package]
    try:
        _run(["apt-get", *_unsandboxed(), *download], directory, log)
    except subprocess.SubprocessError:
        progress(f"{package}: fetching Debian's package lists first")
        own = _own_state(log_path.parent / "apt")
        _run(["apt-get", *own, "update"], directory, log)
        _run(["apt-get", *own, *download], directory, log)
    return next(directory.glob("*.deb"))


def _unsandboxed() -> list[str]:
    """As root apt would drop to _apt, which may not be able to reach the cache; signatures are checked either way."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def _own_state(state: Path) -> list[str]:
    for directory in ("lists/partial", "archives/partial"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": state,
        "Dir::Cache::Archives": state / "archives",
        "Acquire::Languages": "none",
    }
    return _unsandboxed() + [part for name, value in options.items() for part in ("-o", f"{name}={value}")]


def _run(argv: Sequence[str | Path], directory: Path, log: int) -> None:
    # The user's own environment: a proxy for apt may be set there.
    subprocess.run(
        argv, check=True, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=FETCH_TIMEOUT_S
    )
