"""A run's folder: the ledger, every candidate and edit by its content, a page for each round.

    run.json            what the run was started with
    ledger.jsonl        one line a try; a line is the only thing that makes something true
    blobs/<sha256>      candidates and edits, by content
    rounds/0001.md      the self-critique of each round
    reviews/<edit>.md   what waits for a human, with the exact bytes

Everything else is written before its line, whole, so that a kill at any point leaves a folder that can be resumed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.learning.ledger import BrokenLedger, Row, State, fold, line, read, sealed
from guardrails.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class UnusableInput(ValueError):
    """What a person can do something about; the message is the line they see."""


class InUse(UnusableInput):
    """Another loop works in the folder."""


class Journal:
    """done: called after each write with what was written; a test dies there."""

    def __init__(self, folder: Path, *, done: Callable[[str], None] = lambda _what: None) -> None:
        self.folder = folder
        self._done = done
        self._rows: list[Row] = []

    @contextmanager
    def locked(self) -> Iterator[Journal]:
        """Only one loop at a time. Raises InUse, and UnusableInput for a folder that cannot be used."""
        try:
            for place in ("", "blobs", "rounds", "reviews"):
                (self.folder / place).mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UnusableInput(f"{self.folder} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise InUse(
                f"another stanch learn works in {self.folder}; wait for it, or give --out another folder"
            ) from error
        try:
            self.rows()
            yield self
        finally:
            os.close(handle)

    def rows(self) -> tuple[Row, ...]:
        """The ledger as it is on disk, checked from the first line on. Raises UnusableInput if it was tampered with."""
        path = self.folder / "ledger.jsonl"
        content = path.read_bytes() if path.exists() else b""
        try:
            rows = read(content)
        except BrokenLedger as broken:
            raise UnusableInput(f"{path}: {broken}; nothing more is written to it") from broken
        self._rows = list(rows)
        return rows

    def state(self) -> State:
        return fold(self._rows)

    def append(self, body: Mapping[str, Any]) -> Row:
        """A line, on disk when this returns. A half line that a kill left behind is cut off first."""
        path = self.folder / "ledger.jsonl"
        row = sealed(self._rows[-1]["hash"] if self._rows else "0" * 64, len(self._rows), body)
        whole = sum(len(line(one)) for one in self._rows)
        with path.open("ab") as file:
            file.truncate(whole)
            file.write(line(row))
            file.flush()
            os.fsync(file.fileno())
        self._rows.append(row)
        self._done("ledger")
        return row

    def put(self, value: Any) -> str:
        """A JSON value by its content; the name it can be fetched by."""
        content = canonical(value)
        name = hashlib.sha256(content).hexdigest()
        path = self.folder / "blobs" / name
        if not path.exists():
            self._write(path, content)
            self._done("blob")
        return name

    def get(self, name: str) -> Any:
        """Raises UnusableInput when it is gone or not what its name says."""
        path = self.folder / "blobs" / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UnusableInput(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise UnusableInput(f"{path} is not what was stored under that name")
        return json.loads(content)

    def tree(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self.get(name)
        return found

    def page(self, place: str, text: str) -> None:
        self._write(self.folder / place, text.encode())
        self._done("page")

    def config(self, wanted: Mapping[str, Any]) -> None:
        """Writes what the run is started with, or compares it. Raises UnusableInput when it is another run's folder."""
        path = self.folder / "run.json"
        if not path.exists():
            self._write(path, canonical(dict(wanted)) + b"\n")
            self._done("config")
            return
        try:
            before = json.loads(path.read_bytes())
        except ValueError as wrong:
            raise UnusableInput(f"{path} is no JSON; give --out another folder") from wrong
        if before != dict(wanted):
            names = sorted(key for key in {*before, *wanted} if before.get(key) != wanted.get(key))
            raise UnusableInput(
                f"{self.folder} holds a run with another {', '.join(names)}; continue it with the same, or give --out "
                "another folder"
            )

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        half = path.with_name(f".{path.name}.half")
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
