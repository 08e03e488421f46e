"""python -m lab.evaluator: JSON Lines on standard input and output. Started by the learning loop, never by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab.evaluator.answers import answered_line
from lab.evaluator.crew import Crew
from lab.evaluator.frozen import hashes
from lab.evaluator.scores import Scores, Source
from lab.recordings import library
from lab.recordings.generate import Generator, families_of
from lab.recordings.splits import SPLITS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.evaluator", description=__doc__)
    parser.add_argument("--recordings", type=Path, default=None, help="Folder of recordings; the repository's without.")
    parser.add_argument("--exam", action="store_true", help="Open the sealed splits. A loop is never started with it.")
    parser.add_argument("--processes", type=int, default=1, help="That play side by side; no answer hangs on it.")
    arguments = parser.parse_args()
    scores, folder = _scores(arguments.recordings, exam=arguments.exam)
    if arguments.processes > 1:
        scores.crew = Crew(scores, arguments.processes)
    for line in sys.stdin:
        sys.stdout.write(answered_line(scores, lambda: hashes(folder), line) + "\n")
        sys.stdout.flush()


def _scores(folder: Path | None, *, exam: bool) -> tuple[Scores, Path]:
    recordings = library.read(folder)
    splits = SPLITS if exam else ("train", "validation")
    named = {split: families_of(recordings, split) for split in splits}
    sources: dict[str, Source] = {
        split: Generator(recordings, families) for split, families in named.items() if families
    }
    return Scores(sources, exam=exam), folder or library.DATA


if __name__ == "__main__":
    main()
