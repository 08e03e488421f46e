"""One class of incident that a database can have: what it looks at, and the judgement over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.database.readings import READINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.database.finding import Judgement
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings


@dataclass(frozen=True, slots=True)
class IncidentClass:
    """name is also the name of the check that a skill may ask for; what says in a line when it answers yes.

    reads: names of agent.database.readings.READINGS. judge is pure. follow_up, where there is one, runs before it and
    adds to the readings what only these readings tell to ask for (the plan of the slowest statement, say), under names
    of its own; it raises what the reader raises.
    """

    name: str
    what: str
    reads: tuple[str, ...]
    judge: Callable[[Readings], Judgement]
    follow_up: Callable[[Readings, TargetReader], Readings] | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.reads) - set(READINGS)):
            raise ValueError(f"{self.name} reads {unknown[0]}, which is no reading")

    @property
    def needs_window(self) -> bool:
        """Whether one look is not enough."""
        return any(READINGS[name].twice or READINGS[name].sampled for name in self.reads)
