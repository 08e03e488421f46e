"""The recordings there are: a folder of files and a manifest that names each with its hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.recordings.recording import SUFFIX, Recording, UnusableRecording, read_file, to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parent / "data"
"""The set that comes with Stanch."""
MANIFEST = "manifest.json"
_VERSION = 1


@dataclass(slots=True)
class Manifest:
    """recordings: a row a file. missed: attempts that raised no alert or could not be injected, with the reason."""

    recordings: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)

    def counts(self) -> Mapping[str, int]:
        """Injections by fault; one may have several recordings, one an alert."""
        injections = {(row["fault"], row["seed"]) for row in self.recordings}
        return Counter(fault for fault, _ in injections)


def read_manifest(folder: Path) -> Manifest:
    """Empty where there is none yet. Raises UnusableRecording."""
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Manifest()
    except (OSError, ValueError) as error:
        raise UnusableRecording(path, f"cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("v") != _VERSION:
        raise UnusableRecording(path, f"is no manifest of version {_VERSION}, the only one known here")
    rows = data.get("recordings")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"file", "sha256"} <= set(row) for row in rows):
        raise UnusableRecording(path, "its recordings are no list of rows with file and sha256")
    return Manifest(rows, data.get("missed", []))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all: a reader never sees half of it."""
    data = {
        "v": _VERSION,
        "recordings": sorted(manifest.recordings, key=lambda row: str(row["file"])),
        "missed": manifest.missed,
    }
    _replace(folder / MANIFEST, (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def add(folder: Path, recording: Recording) -> Path:
    """Writes the file, then the manifest that names it. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = to_bytes(recording)
    path = folder / f"{recording.id}{SUFFIX}"
    _replace(path, packed)
    manifest = read_manifest(folder)
    row = {
        "file": path.name,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "bytes": len(packed),
        "fault": recording.fault,
        "mechanism": recording.truth.mechanism,
        "alert": recording.alert.labels.get("alertname", ""),
        "seed": recording.seed,
        "recorded_at": recording.recorded_at,
        "restore_s": recording.truth.restore_s,
        "restored_by": recording.restored_by,
        "load": list(recording.load),
        "versions": dict(recording.versions),
    }
    manifest.recordings = [one for one in manifest.recordings if one["file"] != path.name] + [row]
    write_manifest(folder, manifest)
    return path


def read(folder: Path | None = None) -> tuple[Recording, ...]:
    """Every recording of the manifest, by file name, each checked against its hash. folder None: Stanch's own.

    Raises UnusableRecording, naming the file; also for a folder without recordings.
    """
    place = folder or DATA
    manifest = read_manifest(place)
    if not manifest.recordings:
        raise UnusableRecording(place, "holds no recording; make some with `stanch lab record`")
    names = [str(row["file"]) for row in manifest.recordings]
    if wrong := [name for name in names if Path(name).name != name or not name.endswith(SUFFIX)]:
        raise UnusableRecording(place / MANIFEST, f"{wrong[0]!r} is no name of a recording in this folder")
    rows = sorted(manifest.recordings, key=lambda row: str(row["file"]))
    return tuple(read_file(place / str(row["file"]), str(row["sha256"])) for row in rows)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
