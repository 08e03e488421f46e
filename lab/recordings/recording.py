"""One incident of the lab on disk: everything the agent could have asked, and the truth."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
from collections.abc import Mapping  # noqa: TC003 the format is read from the hints
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from agent.metric_checks import Kind  # noqa: TC001 as above
from agent.replay.case import HARMLESS, MECHANISMS, Case, Said, Truth

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
SUFFIX = ".json.gz"
MOST_BYTES = 20_000_000
"""Of one file unpacked; what the lab writes is a tenth of it. A file that unpacks to more is no recording."""
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


class UnusableRecording(ValueError):
    """A file that cannot be played; str() names it and says why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Alert:
    """As Alertmanager sent it; times are epoch seconds. active_at: since when its condition held; fired_at: `for`
    later. received_at: when it reached us. expr and for_s are its rule's.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    injected_at: float
    active_at: float
    fired_at: float
    received_at: float
    expr: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """One series; values are one a step, None where there was no sample."""

    labels: Mapping[str, str]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """An entry of stanch.yaml's `metrics` with what it gave."""

    name: str
    kind: Kind
    query: str
    service_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The configured families and the alert's own signal, from start (epoch s) on, step_s apart."""

    start: float
    step_s: float
    count: int
    families: tuple[MetricFamily, ...]
    signal: MetricFamily


@dataclass(frozen=True, slots=True)
class Announced:
    """A change as it was reported; at: epoch seconds."""

    service: str
    version: str
    summary: str
    at: float


@dataclass(frozen=True, slots=True)
class Recording:
    """answers: by question, one for each look. looked_at: when each look began, epoch s. graph: (caller, callee).

    tape: for each look, what the target's reader said, by call (lab.recordings.tape); empty where it was not kept.
    restored_by: `action`, `undo` or empty: what restore_s was measured with. load: 1, 5 and 15 minutes, at the alert.
    """

    id: str
    fault: str
    seed: int
    recorded_at: str
    alert: Alert
    service: str
    target: str | None
    answers: Mapping[str, tuple[Said, ...]]
    looked_at: tuple[float, ...]
    samples: Samples
    changes: tuple[Announced, ...]
    graph: tuple[tuple[str, str], ...]
    truth: Truth
    restored_by: str
    load: tuple[float, float, float]
    versions: Mapping[str, str]
    tape: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    @property
    def step_s(self) -> float:
        """Between two looks; one look holds for ever."""
        return self.looked_at[1] - self.looked_at[0] if len(self.looked_at) > 1 else 1.0

    def case(self) -> Case:
        """As it can be played; its family is its mechanism and alert as recorded."""
        mechanism = "+".join([self.truth.mechanism, *(mechanism for _, mechanism in self.truth.also)])
        named = {"benign": self.truth.mechanism in HARMLESS, "two faults": bool(self.truth.also)}
        return Case(
            id=self.id,
            family=f"{mechanism}/{self.alert.labels.get('alertname', '')}/x1/shop",
            labels=self.alert.labels,
            service=self.service,
            target=self.target,
            answers=self.answers,
            truth=self.truth,
            step_s=self.step_s,
            strata=frozenset({"recorded", *(name for name, holds in named.items() if holds)}),
            annotations=self.alert.annotations,
        )


_FORMAT = TypeAdapter(Recording)


def to_bytes(recording: Recording) -> bytes:
    """The same bytes for the same recording, everywhere. Raises ValueError for a figure that JSON has no word for."""
    data = {"v": VERSION, **_FORMAT.dump_python(recording)}
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()


def read_file(path: Path, sha256: str | None = None) -> Recording:
    """sha256: what the file's bytes must hash to, where that is known. Raises UnusableRecording."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise UnusableRecording(path, f"cannot be read: {error.strerror}") from error
    if sha256 is not None and hashlib.sha256(packed).hexdigest() != sha256:
        raise UnusableRecording(path, "its bytes are not those of the manifest; record it anew or restore it")
    return _parsed(path, packed)


def _parsed(path: Path, packed: bytes) -> Recording:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise UnusableRecording(path, f"unpacks to more than {MOST_BYTES} bytes")
        data = json.loads(text, parse_constant=_no_number)
    except (OSError, EOFError) as error:
        raise UnusableRecording(path, f"is no whole gzip file: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnusableRecording):
            raise
        raise UnusableRecording(path, f"is no JSON: {error}") from error
    if not isinstance(data, dict) or data.pop("v", None) != VERSION:
        raise UnusableRecording(path, f"is no recording of version {VERSION}, the only one known here")
    try:
        recording = _FORMAT.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableRecording(path, f"{where}: {first['msg']}") from error
    if why := _inconsistent(recording):
        raise UnusableRecording(path, why)
    return recording


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that a recording may hold")


def _inconsistent(recording: Recording) -> str:
    """Why a recording of the right shape still cannot be played; empty: it can."""
    truth, samples = recording.truth, recording.samples
    if not _ID.fullmatch(recording.id):
        return f"id {recording.id[:80]!r} is no plain name"
    if unknown := {truth.mechanism, *(mechanism for _, mechanism in truth.also)} - set(MECHANISMS):
        return f"no mechanism is named {min(unknown)[:60]!r}"
    if not recording.looked_at or recording.step_s <= 0:
        return "looked_at must name at least one time, in order"
    if uneven := [asked for asked, said in recording.answers.items() if not 1 <= len(said) <= len(recording.looked_at)]:
        return f"{uneven[0][:80]!r} was not answered once a look"
    families = (*samples.families, samples.signal)
    if any(len(line.values) != samples.count for family in families for line in family.lines):
        return f"a series has not {samples.count} samples"
    return ""
