"""Small systems with a known cause, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal.graph import ServiceGraph
from causal.series import Frame

if TYPE_CHECKING:
    import numpy.typing as npt

START = 1_700_000_000.0
STEP_S = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """web → api → db and api → cache; the fault begins at `change`."""

    times: npt.NDArray[np.float64]
    columns: dict[str, npt.NDArray[np.float64]]
    change: float
    graph: ServiceGraph
    target: str = "web|latency"

    @property
    def frame(self) -> Frame:
        return Frame.from_columns(self.times, self.columns)


def shop(seed: int = 0, *, fault: float = 3.0, before: int = 120, after: int = 20) -> World:
    """`fault`: seconds that the database gets slower, 0 for a day without a fault."""
    rng = np.random.default_rng(seed)
    n = before + after
    slow = fault * (np.arange(n) >= before)
    db = 1.0 + slow + rng.normal(0, 0.1, n)
    cache = 0.2 + rng.normal(0, 0.02, n)
    api = 0.5 + db + cache + rng.normal(0, 0.1, n)
    web = 0.3 + api + rng.normal(0, 0.1, n)
    columns = {"db|latency": db, "cache|latency": cache, "api|latency": api, "web|latency": web}
    for service in ("db", "cache", "api", "web"):
        columns[f"{service}|cpu"] = 30 + rng.normal(0, 3, n)
    times = START + STEP_S * np.arange(n, dtype=np.float64)
    graph = ServiceGraph.from_edges([["web", "api"], ["api", "db"], ["api", "cache"]])
    return World(times, columns, float(times[before]), graph)
