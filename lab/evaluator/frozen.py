"""What may not change while a run learns, as hashes over the very files."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

PARTS: dict[str, tuple[str, ...]] = {
    "evaluator": ("lab/evaluator/*.py", "agent/replay/*.py"),
    "generator": ("lab/recordings/generate.py", "lab/recordings/topology.py", "lab/recordings/library.py"),
    "splits": ("lab/recordings/splits.py",),
    "gate": (
        "agent/learning/gate.py",
        "agent/learning/e_process.py",
        "agent/learning/alpha.py",
        "agent/learning/apply.py",
        "agent/learning/edits.py",
        "agent/learning/static_checks.py",
        "agent/learning/text_scan.py",
    ),
    "brain": ("agent/brain/*.py", "agent/runbook/*.py", "agent/memory/similar.py"),
    "policy": ("guardrails/**/*.py", "agent/machine.py"),
}
"""Files by what they are; paths from the root of the tree."""


def hashes(recordings: Path, root: Path = ROOT) -> dict[str, str]:
    """SHA-256 of each part and of the recordings' folder. A missing file is a change like any other."""
    found = {part: _hash(root, patterns) for part, patterns in PARTS.items()}
    return {**found, "recordings": _hash(recordings, ("**/*",))}


def _hash(folder: Path, patterns: tuple[str, ...]) -> str:
    hashed = hashlib.sha256()
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(path for path in paths if "__pycache__" not in path.parts):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        hashed.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return hashed.hexdigest()
