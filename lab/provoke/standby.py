"""A streaming standby of a server, made by pg_basebackup."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING

from connectors.embedded.account import make_directory, unprivileged_account
from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ServerFailed, plain_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.embedded.postgres import Binaries
    from connectors.embedded.process import ProcessGroup

_SETTINGS = {"hot_standby_feedback": "off", "max_standby_streaming_delay": "-1"}
"""Replay waits for statements without end, and the primary knows nothing of them: lag is easily had."""


@contextlib.contextmanager
def standby(
    primary: EmbeddedPostgres, binaries: Binaries, group: ProcessGroup, place: Path
) -> Iterator[EmbeddedPostgres]:
    """Running; stopped and removed at the end. Roles and passwords are the primary's. Raises ServerFailed."""
    copy = EmbeddedPostgres(
        group,
        "standby",
        place / "standby",
        log_path=place / "standby.log",
        progress=lambda _line: None,
        settings={name: value for name, value in primary.settings.items() if name != "port"} | _SETTINGS,
        binaries=binaries,
    )
    account = unprivileged_account()
    make_directory(copy.data_dir.parent, account)
    as_account = account.popen_arguments() if account else {}
    command: list[str | Path] = [
        binaries.bin_dir / "pg_basebackup",
        "-D",
        copy.data_dir,
        "-d",
        primary.dsn(),
        "-X",
        "stream",
        "-R",
    ]
    done = subprocess.run(
        [*command, "--checkpoint=fast"],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=plain_environment(),
        umask=0o077,
        **as_account,
    )
    if done.returncode:
        raise ServerFailed("standby", f"pg_basebackup: {' '.join(done.stderr.split())[:300]}")
    # The roles are the primary's, and so is the superuser's password.
    shutil.copy2(primary.data_dir.parent / "superuser.password", copy.data_dir.parent)
    copy.start()
    try:
        yield copy
    finally:
        copy.stop()
        copy.remove()
