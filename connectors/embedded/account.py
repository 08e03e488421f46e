"""Who a server runs as: PostgreSQL refuses root, so as root it drops to an account that exists already.

No account is made and no directory we did not make is opened up. What the account cannot reach (a checkout under
/root, say) gets a private place under /var/tmp instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Origin = Literal["system", "wheel", "debian package"]

PRIVATE_ROOT = Path("/var/tmp")  # noqa: S108 - survives a reboot, unlike /tmp; ownership is checked before use
ACCOUNTS = ("postgres", "nobody")


class UnsafeDirectoryError(Exception):
    """A directory we would have to trust belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, path: Path) -> bool:
        """Whether the account itself can list and enter a directory, or run a file: asked of the system, as it."""
        test = "-x" if path.is_file() else "-d"
        command = ["/usr/bin/test", test, os.fspath(path)] if test == "-x" else ["/usr/bin/test", "-x", f"{path}/."]
        answer = subprocess.run(command, check=False, capture_output=True, cwd="/", **self.popen_arguments())
        return answer.returncode == 0


def unprivileged_account() -> Account | None:
    """The account to drop to; None when we are not root and simply run as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    return Account("65534", 65534, 65534)


def can_run(program: Path) -> bool:
    """Whether the account we would drop to can run it."""
    account = unprivileged_account()
    return program.is_file() and (account is None or account.can_enter(program))


def reachable_place(wanted: Path, account: Account | None) -> Path:
    """Where a directory that `account` must use really goes: `wanted`, or a private place that stands for it.

    The same `wanted` always gives the same place; nothing but the private root is created.
    Raises UnsafeDirectoryError.
    """
    wanted = wanted.resolve()
    if account is None:
        return wanted
    nearest = next(path for path in wanted.parents if path.is_dir())
    if account.can_enter(nearest):
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return private_root() / f"{wanted.name}-{digest}"


def private_root() -> Path:
    """A directory of ours under /var/tmp that others may pass through but not list or change."""
    root = PRIVATE_ROOT / f"stanch-{os.geteuid()}"
    root.mkdir(mode=0o711, exist_ok=True)
    seen = root.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        raise UnsafeDirectoryError(f"{root} is not a directory of ours alone: remove it")
    root.chmod(0o711)
    return root


def make_directory(path: Path, account: Account | None) -> None:
    """A directory that only the account (or we) can enter; missing parents are made passable, existing ones kept."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)  # whatever the umask
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def reachable_program(program: Path, tree: Path, version: str, account: Account | None) -> Path:
    """`program`, inside `tree`, where the account can run it; the tree is copied once when it cannot reach it."""
    if account is None or account.can_enter(program):
        return program
    copy = private_root() / f"{tree.name}-{version}-{hashlib.sha256(os.fsencode(tree)).hexdigest()[:12]}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(tree, unfinished, symlinks=True)
        open_for_reading(unfinished)
        try:
            unfinished.rename(copy)
        except OSError:  # another run was faster
            shutil.rmtree(unfinished)
    return copy / program.relative_to(tree)


def open_for_reading(tree: Path) -> None:
    """Our own copy of public binaries, readable by everyone whatever the umask they were installed under."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
