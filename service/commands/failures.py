"""What a person sees when a command cannot do its work: one clear line, exit code 2."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class CommandFailed(Exception):
    """The command's own refusal; the message is the line a person sees."""


@contextmanager
def told() -> Iterator[None]:
    """Turns the errors a person can do something about into one line on stderr."""
    try:
        yield
    except Exception as error:  # the command's boundary: only errors made for people become a line
        if not _for_people(error):
            raise
        print("stanch:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201 the one line
        sys.exit(2)


def _for_people(error: Exception) -> bool:
    """By name, so that no command pays for importing what it does not use."""
    known = {
        "CommandFailed",
        "UnusableSettings",
        "UnusableSkill",
        "UnusableKey",
        "UnusableName",
        "Unreachable",
        "ServerFailed",
        "ChangedMigration",
        "UnusableInput",
        "UnusableRecording",
    }
    return any(kind.__name__ in known for kind in type(error).__mro__)
