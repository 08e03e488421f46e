"""Looks at a target once, and asks every incident class what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.database.classes import CLASSES
from agent.database.finding import SEVERITIES, Finding
from agent.database.limits import Limits
from agent.database.readings import Readings, merged
from agent.database.snapshot import NotVisible
from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent.database.incident_class import IncidentClass
    from agent.database.reader import TargetReader


@dataclass(frozen=True, slots=True)
class Report(Value):
    """findings: the most severe first. not_visible: each once."""

    findings: tuple[Finding, ...]
    not_visible: tuple[NotVisible, ...]


def examine(
    reader: TargetReader,
    window_s: float,
    limits: Limits | None = None,
    classes: Collection[IncidentClass] = tuple(CLASSES.values()),
) -> Report:
    """Returns after window_s and what the questions take. Raises what the reader raises."""
    names = merged(*(one.reads for one in classes))
    return judged(followed_up(reader, reader.readings(names, window_s, limits or Limits()), classes), classes)


def followed_up(reader: TargetReader, readings: Readings, classes: Collection[IncidentClass]) -> Readings:
    for one in classes:
        if one.follow_up is not None:
            readings = one.follow_up(readings, reader)
    return readings


def judged(readings: Readings, classes: Collection[IncidentClass] = tuple(CLASSES.values())) -> Report:
    """What the classes say of readings, of a live target or recorded ones."""
    said = [answer for one in classes for answer in one.judge(readings)]
    findings = [answer for answer in said if isinstance(answer, Finding)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    unseen = dict.fromkeys((answer.what, answer.why, answer.grant) for answer in said if isinstance(answer, NotVisible))
    return Report(tuple(findings), tuple(NotVisible(*parts) for parts in unseen))
