"""python -m lab.learn: one run of the loop, for a bench that starts several side by side. People use stanch learn."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent.learning.gate import CAP_PAIRS
from lab.learn.journal import UnusableInput
from lab.learn.loop import WINDOW
from lab.learn.run import rows_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.learn", description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--skills", type=Path)
    parser.add_argument("--placebo", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--cap", type=int, default=CAP_PAIRS)
    given = parser.parse_args()
    how = "random" if given.placebo else "rules"
    try:
        for _ in rows_of(
            given.out,
            rounds=given.rounds,
            seed=given.seed,
            recordings=given.recordings,
            skills=given.skills,
            how=how,
            window=given.window,
            cap=given.cap,
            processes=given.processes,
        ):
            pass
    except UnusableInput as error:
        sys.exit(f"{given.out}: {error}")


if __name__ == "__main__":
    main()
