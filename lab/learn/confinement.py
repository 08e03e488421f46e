"""Shuts a process in: from here on it opens no file, starts no process, reaches no network, loads no code.

The proposer needs nothing but the lines it is sent. What it cannot open it cannot learn by heart: recordings, splits
and results stay with the evaluator and the loop.
"""

from __future__ import annotations

import resource
import sys

FORBIDDEN = (
    "open", "os.", "shutil.", "subprocess.", "socket.", "ctypes.", "pty.", "mmap.", "sqlite3.", "urllib.", "glob.",
    "import", "marshal.load", "pathlib.", "tempfile.", "syslog.", "fcntl.", "sys.dlopen", "code.__new__",
)  # fmt: skip
"""Audit events, by how they begin: https://docs.python.org/3/library/audit_events.html"""


class Confined(PermissionError):
    """Something was tried that a confined process may not do."""


def confine() -> None:
    """Cannot be undone. Everything that will be needed must be imported before.

    The kernel gives no further file descriptor, and the interpreter refuses the attempt before it gets there.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, _arguments: object) -> None:
    if event.startswith(FORBIDDEN):
        raise Confined(f"a proposer does nothing but propose: {event} is refused")
