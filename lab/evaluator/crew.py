"""Several processes that play incidents side by side and answer as one.

Each takes the incidents whose seeds fall to it, always the same, so that what it remembers is met again. What comes out
stands in the order of the seeds, and the first failure in that order is the one that is told: nothing in an answer says
how many there were.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from lab.evaluator.scores import Scores, What

MOST = 4
"""More of them only hold the recordings once more."""

Chunk = tuple[list[Any], Exception | None]
"""What came of the seeds in their order, up to the first failure."""


def processors() -> int:
    """How many this process may use, at most MOST."""
    return min(MOST, len(os.sched_getaffinity(0)))


class Crew:
    """count: processes in all, this one among them. Forked, so that the others hold the recordings without reading
    them; they end with this one.
    """

    def __init__(self, scores: Scores, count: int) -> None:
        self._scores = scores
        self._others: list[Connection] = []
        context = multiprocessing.get_context("fork")
        for _ in range(count - 1):
            ours, theirs = context.Pipe()
            # A process that held our ends would never see that we are gone.
            context.Process(target=_serve, args=(scores, theirs, [*self._others, ours]), daemon=True).start()
            theirs.close()
            self._others.append(ours)

    def tell(self, what: Literal["load", "forget"], argument: Any) -> None:
        for other in self._others:
            other.send((what, argument, ()))

    def each(self, what: What, arguments: tuple[str, str], wanted: Sequence[int]) -> list[Any]:
        """Raises what the first failing seed raised. EOFError: one of the others is gone, and nothing can be said."""
        count = len(self._others) + 1
        shares: list[list[int]] = [[] for _ in range(count)]
        for place, seed in enumerate(wanted):
            shares[seed % count].append(place)
        for other, places in zip(self._others, shares[1:], strict=True):
            other.send((what, arguments, [wanted[place] for place in places]))
        chunks = [_chunk(self._scores, what, arguments, [wanted[place] for place in shares[0]])]
        chunks += [other.recv() for other in self._others]
        found: dict[int, Any] = {}
        failures: dict[int, Exception] = {}
        for places, (values, failure) in zip(shares, chunks, strict=True):
            found.update(zip(places, values, strict=False))
            if failure is not None:
                failures[places[len(values)]] = failure
        if failures:
            raise failures[min(failures)]
        return [found[place] for place in range(len(wanted))]


def _chunk(scores: Scores, what: What, arguments: tuple[str, str], wanted: Sequence[int]) -> Chunk:
    values: list[Any] = []
    try:
        for seed in wanted:
            values.append(scores.one(what, arguments, seed))  # noqa: PERF401 what came before a failure is kept
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:  # as lab.evaluator.answers
        return values, wrong
    return values, None


def _serve(scores: Scores, asked: Connection, not_ours: Sequence[Connection]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that asks ends, and then this one
    for connection in not_ours:
        connection.close()
    scores.crew = None
    while True:
        try:
            what, argument, wanted = asked.recv()
            match what:
                case "load":
                    scores.load(argument)
                case "forget":
                    scores.forget(argument)
                case _:
                    asked.send(_chunk(scores, what, argument, wanted))
        except (EOFError, OSError):
            return
