"""The evaluator and the proposer as processes that answer a line with a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lab.learn.journal import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent.parent
PASSED_ON = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TZ"})
"""Of the environment; no setting and no secret of the service among them."""


class Asked:
    """One process. Raises UnusableInput when it ends or answers with an error."""

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name in PASSED_ON},
            text=True,
            encoding="utf-8",
        )

    def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise UnusableInput(f"{self._name} has no pipes")
        try:
            into.write(json.dumps(dict(request)) + "\n")
            into.flush()
            told = out.readline()
        except OSError as error:
            raise UnusableInput(f"{self._name} ended: {error.strerror}") from error
        if not told:
            raise UnusableInput(f"{self._name} ended with code {self._process.wait()}; its last words are above")
        answer: dict[str, Any] = json.loads(told)
        if "error" in answer:
            raise UnusableInput(f"{self._name}: {answer['error']}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def evaluator(recordings: Path | None, *, exam: bool = False, processes: int = 1) -> Asked:
    """processes: that play side by side; what is answered does not hang on it."""
    place = ["--recordings", str(recordings.resolve())] if recordings else []
    return Asked("lab.evaluator", [*place, "--processes", str(processes), *(["--exam"] if exam else [])])


def proposer() -> Asked:
    return Asked("lab.learn.proposer")
