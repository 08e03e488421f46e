"""The incidents that come with Stanch, for what is tried in replay before it is believed again."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import structlog

from lab.recordings import library
from lab.recordings.recording import UnusableRecording

if TYPE_CHECKING:
    from agent.replay.case import Case

log = structlog.get_logger()


@cache
def recorded() -> tuple[Case, ...]:
    """As they were recorded, read once a process. Empty where they cannot be read: then nothing is shown by them."""
    try:
        return tuple(recording.case() for recording in library.read())
    except (UnusableRecording, OSError) as wrong:
        log.warning("recordings not read", error=str(wrong)[:200])
        return ()
