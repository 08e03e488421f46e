"""Generated systems with a known cause: several shapes, faults and disturbances that are no fault.

Requests flow from the entry down the calls; latency and errors flow back up. What a service is asked and what it costs
are drawn anew for each world, so that nothing can be tuned to a name or a level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from causal.graph import ServiceGraph
from causal.series import Frame
from lab.bench.cases import Case

if TYPE_CHECKING:
    from numpy.random import Generator

    from causal.series import Floats

SHAPES = ("chain", "fan", "layers", "random")
FAULTS = ("cpu", "latency", "errors", "network", "memory")
QUIET = ("none", "surge", "neighbour")  # windows without a fault
_STYLES = (
    # mean latency, its tail, traffic, success, processor, memory, latency as a client, the shared machine
    (
        "latency_avg",
        "latency_p95",
        "requests_per_s",
        "success_rate",
        "cpu_usage",
        "memory_bytes",
        "client_latency_p95",
        "node_cpu",
    ),
    (
        "duration_seconds_mean",
        "duration_seconds_p95",
        "request_rate",
        "availability",
        "cpu",
        "mem",
        "client_duration_p95",
        "host_load_1m",
    ),
)


def generate(seed: int, event: str, *, shape: str, graph: bool = True, target: bool = True) -> Case:
    """A world of 5 to 14 services in which `event`, one of FAULTS or QUIET, begins at the case's inject_time."""
    rng = np.random.default_rng([seed, len(shape), len(event)])
    world = _World.draw(rng, shape)
    before, after = int(rng.integers(60, 300)), int(rng.integers(6, 60))
    step_s = float(rng.choice([1, 15, 60]))
    victim = int(rng.integers(1, len(world.names)))
    columns = world.run(before, after, event, victim)
    times = 1.7e9 + step_s * np.arange(before + after)
    style = _STYLES[seed % len(_STYLES)]
    frame = Frame.from_columns(times, {f"{service}|{style[k]}": data for (service, k), data in columns.items()})
    return Case(
        name=f"{shape}-{event}-{seed}",
        system=f"generated-{shape}" + ("" if graph else "-no-graph"),
        frame=_holes(frame, rng),
        inject_time=float(times[before]),
        alert_time=None,
        target=f"{world.names[0]}|{style[3 if event == 'errors' else 1]}" if target else None,
        graph=ServiceGraph.from_edges(world.edges) if graph else ServiceGraph(),
        cause=world.names[victim] if event in FAULTS else None,
        fault=event,
    )


def _holes(frame: Frame, rng: Generator) -> Frame:
    values = frame.values.copy()
    values[rng.random(values.shape) < 0.02] = np.nan  # noqa: PLR2004  one scrape in fifty fails
    return Frame(frame.times, values, frame.names)


@dataclass(frozen=True, slots=True)
class _World:
    rng: Generator
    names: list[str]
    calls: dict[int, list[int]]  # callees have higher numbers
    host: list[int]
    edges: list[list[str]] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: Generator, shape: str) -> _World:
        n = int(rng.integers(5, 15))
        calls: dict[int, list[int]] = {i: [] for i in range(n)}
        for child in range(1, n):
            match shape:
                case "chain":
                    parents = [child - 1]
                case "fan":
                    parents = [0 if child < n // 2 + 1 else int(rng.integers(1, n // 2 + 1))]
                case "layers":
                    parents = list({int(rng.integers(max(0, child - 4), child)) for _ in range(2)})
                case _:
                    parents = list({int(rng.integers(0, child)) for _ in range(int(rng.integers(1, 4)))})
            for parent in parents:
                calls[parent].append(child)
        names = [f"s{i:02d}" for i in rng.permutation(100)[:n]]
        edges = [[names[parent], names[child]] for parent, children in calls.items() for child in children]
        return cls(rng, names, calls, [int(rng.integers(0, 3)) for _ in range(n)], edges)

    def run(self, before: int, after: int, event: str, victim: int) -> dict[tuple[str, int], Floats]:
        rng, n, total = self.rng, len(self.names), before + after
        ramp = np.clip((np.arange(total) - before + 1) / max(1, after // 6), 0, 1)
        size = float(rng.uniform(0.5, 3))
        load = 50 * (1 + 0.1 * np.sin(np.arange(total) / 37)) * rng.lognormal(0, 0.05, total)
        load *= 1 + (event == "surge") * 1.5 * ramp
        traffic = [load * share * rng.lognormal(0, 0.03, total) for share in self._visits()]
        own = [rng.uniform(0.005, 0.1) * rng.lognormal(0, 0.08, total) for _ in range(n)]
        failing = [rng.random(total) * 0.002 for _ in range(n)]
        cpu = [rng.uniform(5, 20) + rng.uniform(0.1, 0.3) * traffic[i] + rng.normal(0, 1.5, total) for i in range(n)]
        memory = [1e8 * rng.uniform(1, 5) * (1 + np.cumsum(rng.normal(0, 3e-4, total))) for _ in range(n)]
        way = np.zeros(total)
        match event:
            case "cpu":
                cpu[victim] = cpu[victim] + 40 * size * ramp
                own[victim] = own[victim] * (1 + size * ramp)
            case "latency":
                own[victim] = own[victim] + (0.1 + 0.2 * size) * ramp
            case "errors":
                failing[victim] = failing[victim] + 0.1 * size * ramp
            case "network":
                way = (0.1 + 0.2 * size) * ramp
            case "memory":
                memory[victim] = memory[victim] * (1 + size * ramp)
                own[victim] = own[victim] * (1 + 0.5 * size * ramp)
        latency, client, failed = self._upwards(own, failing, victim, way)
        busy = [sum(cpu[j] for j in range(n) if self.host[j] == self.host[i]) for i in range(n)]
        out: dict[tuple[str, int], Floats] = {}
        for i, name in enumerate(self.names):
            near = (event == "neighbour" and self.host[i] == self.host[victim]) * 60 * ramp
            tail = 2.2 * rng.lognormal(0, 0.1, total)
            shown = (latency[i], latency[i] * tail, traffic[i], 100 * (1 - failed[i]), cpu[i], memory[i])
            out |= {(name, k): data for k, data in enumerate(shown)}
            if self.calls[i]:
                out[name, 6] = client[i] * tail
            out[name, 7] = busy[i] + near
        return out

    def _visits(self) -> Floats:
        visits = np.zeros(len(self.names))
        visits[0] = 1.0
        for parent, children in self.calls.items():
            for child in children:
                visits[child] = min(visits[child] + 0.6 * visits[parent], 4.0)
        return visits

    def _upwards(
        self, own: list[Floats], failing: list[Floats], victim: int, way: Floats
    ) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """Latency as a server, latency as a client and failed share of each service, callees first."""
        latency, failed = [data.copy() for data in own], [data.copy() for data in failing]
        client = [np.zeros_like(way) for _ in own]
        for i in reversed(range(len(own))):
            for child in self.calls[i]:
                seen = latency[child] + (way if child == victim else 0)
                client[i] = client[i] + seen / len(self.calls[i])
                latency[i] = latency[i] + 0.6 * seen
                failed[i] = failed[i] + 0.6 * failed[child]
        return latency, client, [np.clip(share, 0, 1) for share in failed]
