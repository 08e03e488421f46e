"""Fresh incidents without end from recorded ones, by declared operators; each says how it differs.

What is assumed (docs/lab.md says it to people): a family is a mechanism, the alert it was recorded with, a scale and a
topology. A case takes the answers of one recording of its family and lets these happen to them, each drawn from the
seed alone:

    renamed     services, tables and columns have other names; bystanders are ranked too; a service further up alerts
    scaled      tables are larger: counts and costs grow with them, and so does a fix that reads the table
    jitter      every measured figure is off by one factor a field, lognormal
    flipped     single answers are wrong: what another incident of the same side answered the other way
    correlated  a hidden cause makes a whole group of answers wrong together: all come from one other incident
    blind       a group of questions is not visible, as for a role without the privilege
    anchor-swap the alert of one recording over the answers of another mechanism that the lab has seen raise it too
    drift       how often answers are wrong, and which mechanisms come, moves slowly with the seed

Recordings that feed train and validation never feed test and unseen, and the other way round.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from agent.replay.case import HARMLESS, MECHANISMS, Case, Said, Truth
from lab.recordings.splits import Side, Split, side_of, split_of
from lab.recordings.topology import SCALES, TEMPLATES, TOPOLOGIES, Topology

if TYPE_CHECKING:
    from collections.abc import Collection

_INJECTION = re.compile(r"[a-z0-9-]*?-\d{3}(?=-|$)")

_GROWING_FIXES = frozenset({"create_index_concurrently", "reindex_index_concurrently", "vacuum_table", "analyze_table"})
"""Fixes that read the table: their time grows with it."""

GROUPS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "plans": r"database:(plan_scans_a_big_table|index_would_help|missing_index|plan_flip|outdated_statistics)",
        "statements": r"database:(workload_sample|slow_statement|sequential_scans_dominate|temp_file_spill)",
        "sessions": (
            r"database:(lock_waits|connections_exhausted|connection_exhaustion|long_transaction|idle_in_transaction"
            r"|row_lock_pile_up|ddl_lock_queue|runaway_query|old_xmin)"
        ),
        "metrics": r"(causal|metrics):.*",
        "changes": r"changes:.*",
    }.items()
}
"""Questions that look at the same thing, so that what hides or disturbs it touches all of them."""

_GROWS = re.compile(r"(^|_)(rows|tuples?|tup|bytes|pages|blks|modified|dead|live|cost)(_|$)")
"""Fields that are larger in a larger table."""
_IS_NAME = re.compile(
    r"(^|_)(pid|pids|id|queryid|oid|relid|port|version|attnum|start|at|time|times|lsn|xid|sha256|roots|index_pages)$"
)
"""Numbers that name something or stand for a point in time; they stay."""
_IS_SHARE = re.compile(r"(share|probability|confidence|fraction)")


@dataclass(frozen=True, slots=True)
class Operators:
    """How much of each. Rates are per answer (flip), per case (the rest); jitter is a standard deviation of logs.

    Frozen for a measured run: they are part of what its figures mean.
    """

    flip: float = 0.02
    correlated: float = 0.06
    blind: float = 0.06
    jitter: float = 0.12
    seconds_jitter: float = 0.25
    restore_jitter: float = 0.15
    anchor_swap: float = 0.25
    benign: float = 0.15
    label_noise: float = 0.08
    drift_every: int = 4000
    drift_depth: float = 0.5


OPERATORS = Operators()


class Recorded(Protocol):
    """What the generator needs of a recording; lab.recordings.library has the real ones."""

    def case(self) -> Case: ...


@dataclass(frozen=True, slots=True)
class Family:
    """mechanism: two joined by + for two faults at once. alert: its name as recorded."""

    mechanism: str
    alert: str
    scale: str
    topology: str

    @property
    def name(self) -> str:
        return f"{self.mechanism}/{self.alert}/{self.scale}/{self.topology}"

    @property
    def harmless(self) -> bool:
        return self.mechanism in HARMLESS

    @classmethod
    def parse(cls, name: str) -> Family:
        """Raises ValueError on a name that no family can have."""
        # An alert's name is somebody else's text and may hold a slash; the others are ours.
        mechanism, _, rest = name.partition("/")
        parts = rest.rsplit("/", 2)
        if len(parts) != 3 or parts[1] not in SCALES or parts[2] not in TOPOLOGIES:  # noqa: PLR2004 the other fields
            raise ValueError(f"{name!r} names no family: mechanism/alert/scale/topology")
        return cls(mechanism, *parts)


def mechanism_of(truth: Truth) -> str:
    return "+".join([truth.mechanism, *(mechanism for _, mechanism in truth.also)])


def alert_of(case: Case) -> str:
    return case.labels.get("alertname", "")


def injection_of(name: str) -> str:
    """`missing-index-003` of `missing-index-003-ordersslow`: recordings of one injection know each other."""
    found = _INJECTION.match(name)
    return name if found is None else found.group()


def sides(cases: Sequence[Case]) -> Mapping[str, Side]:
    """Which side each case's recording feeds: of every mechanism about half the injections each.

    By the hash of the injection's name, so that one more moves as few others as possible.
    """
    injections: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        injections[mechanism_of(case.truth)].add(injection_of(case.id))
    found: dict[tuple[str, str], Side] = {}
    for mechanism, names in injections.items():
        ranked = sorted(names, key=lambda one: hashlib.sha256(one.encode()).digest())
        first = hashlib.sha256(mechanism.encode()).digest()[0] % 2
        for place, name in enumerate(ranked):
            found[mechanism, name] = "exam" if (place + first) % 2 else "learn"
    return {case.id: found[mechanism_of(case.truth), injection_of(case.id)] for case in cases}


def families_of(recordings: Sequence[Recorded], *splits: Split) -> tuple[str, ...]:
    """Every family that can be played from the recordings, by name, in order; only those of `splits` where given."""
    cases = [recording.case() for recording in recordings]
    side = sides(cases)
    playable = {(mechanism_of(case.truth), alert_of(case), side[case.id]) for case in cases}
    names = ((f"{mechanism}/{alert}/{template}", own) for mechanism, alert, own in playable for template in TEMPLATES)
    return tuple(
        sorted(
            name for name, own in names if side_of(split_of(name)) == own and (not splits or split_of(name) in splits)
        )
    )


class Generator:
    """Cases of the given families; the same seed gives the same case in every process.

    Raises ValueError for a family that no recording of its side can play, and without any family.
    """

    def __init__(
        self, recordings: Sequence[Recorded], families: Collection[str], *, operators: Operators = OPERATORS
    ) -> None:
        self._operators = operators
        self._cases = tuple(sorted((recording.case() for recording in recordings), key=lambda case: case.id))
        self._side = sides(self._cases)
        self.families = tuple(sorted(families))
        self._parsed = {name: Family.parse(name) for name in self.families}
        self._pool = {name: self._recordings_of(name) for name in self.families}
        if not self.families:
            raise ValueError("a generator needs at least one family")
        if empty := [name for name, pool in self._pool.items() if not pool]:
            raise ValueError(f"no recording can play {empty[0]} ({len(empty)} such families)")
        self._raisers = _raisers(self._cases)
        self._opposites: dict[tuple[Side, str, str], tuple[Case, ...]] = {}
        self._renamed: dict[tuple[str, str, str], tuple[Said, ...]] = {}

    def case(self, seed: int, family: str | None = None) -> Case:
        """A fresh incident; of one family when it is named. Raises KeyError on a family this generator has not."""
        name = family if family is not None else self._family(random.Random(f"family|{seed}"), seed)
        # The family's name too: the same seed in another split must not bring the same noise.
        rng = random.Random(f"case|{name}|{seed}")
        wanted, pool = self._parsed[name], self._pool[name]
        swap = self._swapped(rng, wanted, side_of(split_of(name)))
        base, labels_of = swap if swap is not None else 2 * (rng.choice(pool),)
        topology = TOPOLOGIES[wanted.topology]
        answers = _Answers(self, base, wanted, seed, self._disturbance(rng, seed, base))
        labels, service = _labels(labels_of, topology)
        return Case(
            id=f"{name}#{seed}",
            family=name,
            labels=labels,
            service=service,
            target=None if base.target is None else topology.text(base.target),
            answers=answers,
            truth=self._truth(rng, base, wanted, topology),
            step_s=base.step_s,
            strata=self._strata(wanted, answers.disturbance, base.truth),
            annotations={key: topology.text(text) for key, text in labels_of.annotations.items()},
            differs=self._differs(seed, base, labels_of, wanted, answers.disturbance),
        )

    def told(self, case: Case, seed: int) -> tuple[str, str]:
        """(component, mechanism) as a postmortem of this case would say, which now and then is wrong: label noise."""
        rng = random.Random(f"label|{seed}")
        truth = case.truth
        if rng.random() >= self._operators.label_noise:
            return truth.component, truth.mechanism
        wrong = [mechanism for mechanism in MECHANISMS if mechanism != truth.mechanism]
        return case.service, rng.choice(wrong)

    # --- Which incident ------------------------------------------------------------------------------------------

    def _recordings_of(self, name: str) -> tuple[Case, ...]:
        family, side = self._parsed[name], side_of(split_of(name))
        return tuple(
            case
            for case in self._cases
            if self._side[case.id] == side
            and mechanism_of(case.truth) == family.mechanism
            and alert_of(case) == family.alert
        )

    def drift(self, seed: int) -> float:
        """-1 to 1, moving slowly with the seed."""
        return math.sin(2 * math.pi * (seed % self._operators.drift_every) / self._operators.drift_every)

    def _family(self, rng: random.Random, seed: int) -> str:
        """Harmless ones have their share; which of the others come moves with the seed."""
        harmless = [name for name in self.families if self._parsed[name].harmless]
        broken = [name for name in self.families if not self._parsed[name].harmless]
        if not broken or (harmless and rng.random() < self._operators.benign):
            return rng.choice(harmless)
        phase, depth = self.drift(seed), self._operators.drift_depth
        weights = [1 + depth * phase * math.cos(index) for index in range(len(broken))]
        return rng.choices(broken, weights)[0]

    def _swapped(self, rng: random.Random, wanted: Family, side: Side) -> tuple[Case, Case] | None:
        """(whose answers, whose alert): the same mechanism recorded under another alert, below the family's own alert
        as another mechanism raised it.
        """
        if rng.random() >= self._operators.anchor_swap:
            return None
        own = [case for case in self._cases if self._side[case.id] == side]
        answers = [
            case for case in own if mechanism_of(case.truth) == wanted.mechanism and alert_of(case) != wanted.alert
        ]
        alerts = [
            case for case in own if mechanism_of(case.truth) != wanted.mechanism and alert_of(case) == wanted.alert
        ]
        return (rng.choice(answers), rng.choice(alerts)) if answers and alerts else None

    def _disturbance(self, rng: random.Random, seed: int, base: Case) -> _Disturbance:
        rates, more = self._operators, 1 + self._operators.drift_depth * self.drift(seed)
        blind = rng.choice(sorted(GROUPS)) if rng.random() < rates.blind else None
        correlated = rng.choice(sorted(GROUPS)) if rng.random() < rates.correlated * more else None
        others = [
            case
            for case in self._cases
            if self._side[case.id] == self._side[base.id] and case.truth.mechanism != base.truth.mechanism
        ]
        donor = rng.choice(others) if correlated is not None and others else None
        return _Disturbance(rates.flip * more, blind, correlated if donor is not None else None, donor)

    def _truth(self, rng: random.Random, base: Case, wanted: Family, topology: Topology) -> Truth:
        truth = base.truth
        factor = math.exp(rng.gauss(0, self._operators.restore_jitter))
        if truth.action in _GROWING_FIXES:
            factor *= SCALES[wanted.scale]
        component = topology.text(truth.component)
        if topology.edge is not None and truth.mechanism in HARMLESS:
            component = topology.edge
        return replace(
            truth,
            component=component,
            restore_s=None if truth.restore_s is None else truth.restore_s * factor,
            also=tuple((topology.text(where), mechanism) for where, mechanism in truth.also),
            params=topology.data(truth.params),
        )

    def _strata(self, wanted: Family, disturbance: _Disturbance, truth: Truth) -> frozenset[str]:
        raisers = self._raisers[wanted.alert]
        usual = max(sorted(raisers), key=lambda mechanism: raisers[mechanism])
        named = {
            "anchor-swap": len(raisers) > 1 and usual != wanted.mechanism,
            "benign": wanted.harmless,
            "shift": wanted.topology != "shop",
            "scaled": wanted.scale != "x1",
            "blind": disturbance.blind is not None,
            "correlated": disturbance.correlated is not None,
            "two faults": bool(truth.also),
        }
        return frozenset(name for name, holds in named.items() if holds)

    def _differs(
        self, seed: int, base: Case, labels_of: Case, wanted: Family, disturbance: _Disturbance
    ) -> dict[str, Any]:
        return {
            "recording": base.id,
            "alert_of": labels_of.id,
            "topology": wanted.topology,
            "scale": SCALES[wanted.scale],
            "flip_rate": round(disturbance.flip, 4),
            "blind": disturbance.blind,
            "correlated": disturbance.correlated,
            "correlated_with": None if disturbance.donor is None else disturbance.donor.id,
            "drift": round(self.drift(seed), 3),
        }

    # --- Answers -------------------------------------------------------------------------------------------------

    def renamed(self, base: Case, asked: str, topology: Topology) -> tuple[Said, ...]:
        """A recording's answers in another system; made once."""
        key = (base.id, asked, topology.name)
        if key not in self._renamed:
            self._renamed[key] = tuple(_in(topology, asked, said) for said in base.answers.get(asked, ()))
        return self._renamed[key]

    def opposite(self, base: Case, asked: str, status: str) -> tuple[Case, ...]:
        """Recordings of the same side whose first answer to a question is another yes or no."""
        side = self._side[base.id]
        key = (side, asked, status)
        if key not in self._opposites:
            other = {"yes": "no", "no": "yes"}.get(status)
            self._opposites[key] = tuple(
                case
                for case in self._cases
                if self._side[case.id] == side and (said := case.answers.get(asked)) and said[0].status == other
            )
        return self._opposites[key]

    @property
    def operators(self) -> Operators:
        return self._operators


@dataclass(frozen=True, slots=True)
class _Disturbance:
    flip: float
    blind: str | None
    correlated: str | None
    donor: Case | None


class _Answers(Mapping[str, tuple[Said, ...]]):
    """Made when they are asked for: most questions of a case never are. The seed and the question decide, so the order
    of asking does not matter.
    """

    def __init__(self, generator: Generator, base: Case, wanted: Family, seed: int, disturbance: _Disturbance) -> None:
        self._generator = generator
        self._base = base
        self._topology = TOPOLOGIES[wanted.topology]
        self._scale = SCALES[wanted.scale]
        self._seed = f"{wanted.name}|{seed}"
        self.disturbance = disturbance
        self._made: dict[str, tuple[Said, ...]] = {}
        self._factors: dict[str, float] = {}

    def __getitem__(self, asked: str) -> tuple[Said, ...]:
        if asked not in self._made:
            if asked not in self._base.answers:
                raise KeyError(asked)
            self._made[asked] = self._make(asked)
        return self._made[asked]

    def __iter__(self) -> Iterator[str]:
        return iter(self._base.answers)

    def __len__(self) -> int:
        return len(self._base.answers)

    def _make(self, asked: str) -> tuple[Said, ...]:
        rng = random.Random(f"{asked}|{self._seed}")
        disturbed, source = self.disturbance, self._base
        if disturbed.blind is not None and GROUPS[disturbed.blind].fullmatch(asked):
            return (Said("not_visible", "the role is not shown this", {}, 0.1),)
        if disturbed.correlated is not None and GROUPS[disturbed.correlated].fullmatch(asked):
            source = disturbed.donor if disturbed.donor is not None and asked in disturbed.donor.answers else source
        elif rng.random() < disturbed.flip:
            others = self._generator.opposite(self._base, asked, self._base.answers[asked][0].status)
            source = rng.choice(others) if others else source
        factor = math.exp(rng.gauss(0, self._generator.operators.seconds_jitter))
        return tuple(
            Said(said.status, said.summary, _Measured(said.data, self._factor), said.seconds * factor)
            for said in self._generator.renamed(source, asked, self._topology)
        )

    def _factor(self, name: str) -> float:
        """The same for a field wherever it stands in this case, so that answers about one thing agree."""
        if name not in self._factors:
            jitter = random.Random(f"{name}|{self._seed}").gauss(0, self._generator.operators.jitter)
            grows = self._scale if _kind_of(name) is _Kind.GROWS else 1.0
            self._factors[name] = grows * math.exp(jitter)
        return self._factors[name]


class _Measured(Mapping[str, Any]):
    """An answer's data with other figures; worked out when somebody looks, for most data is looked at by nobody."""

    __slots__ = ("_as_recorded", "_factor", "_known")

    def __init__(self, as_recorded: Mapping[str, Any], factor: Callable[[str], float]) -> None:
        self._as_recorded = as_recorded
        self._factor = factor
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._moved(self._as_recorded[name], name, keep=name == _PARAMS)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_recorded)

    def __len__(self) -> int:
        return len(self._as_recorded)

    def _moved(self, value: Any, name: str, *, keep: bool) -> Any:
        match value:
            case bool() | None | str():
                return value
            case Mapping():
                # An action's parameters are names and choices, no measurements.
                return {key: self._moved(item, key, keep=keep or key == _PARAMS) for key, item in value.items()}
            case list() | tuple():
                return [self._moved(item, name, keep=keep) for item in value]
            case int() | float() if keep or _kind_of(name) is _Kind.NAMES:
                return value
            case int():
                return round(value * self._factor(name))
            case float():
                moved = value * self._factor(name)
                return min(moved, 1.0) if value <= 1 and _kind_of(name) is _Kind.SHARE else moved
            case _:
                return value


_PARAMS = "params"


class _Kind(Enum):
    """What a field's name says about its figures."""

    NAMES = "names"
    SHARE = "share"
    GROWS = "grows"
    OTHER = "other"


@cache
def _kind_of(name: str) -> _Kind:
    if _IS_NAME.search(name):
        return _Kind.NAMES
    if _IS_SHARE.search(name):
        return _Kind.SHARE
    return _Kind.GROWS if _GROWS.search(name) else _Kind.OTHER


def _in(topology: Topology, asked: str, said: Said) -> Said:
    data = topology.data(said.data)
    if asked.startswith("causal:") and data.get("services") and topology.bystanders:
        data["services"] += [
            {**data["services"][-1], "service": name, "probability": 0.01} for name in topology.bystanders
        ]
    return Said(said.status, topology.text(said.summary), data, said.seconds)


def _labels(case: Case, topology: Topology) -> tuple[dict[str, str], str]:
    """Labels and alerting service, seen from further up where the topology has an edge."""
    labels = {name: topology.text(value) for name, value in case.labels.items()}
    labels["alertname"] = topology.alert(alert_of(case))
    service = topology.edge or topology.text(case.service)
    if "service" in labels:
        labels["service"] = service
    return labels, service


def _raisers(cases: Sequence[Case]) -> Mapping[str, Counter[str]]:
    """How often each mechanism raised each alert, as recorded."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        found[alert_of(case)][mechanism_of(case.truth)] += 1
    return found


def trace_hash(case: Case) -> str:
    """Alike for cases that an agent could not tell apart: alert, statuses, and figures to two digits."""
    digest = hashlib.sha256(alert_of(case).encode())
    for asked in sorted(case.answers):
        for said in case.answers[asked]:
            digest.update(f"|{asked}|{said.status}|".encode())
            _figures(said.data, digest.update)
    return digest.hexdigest()


def _figures(value: Any, update: Callable[[bytes], None]) -> None:
    match value:
        case bool() | str() | None:
            pass
        case Mapping():
            for key in sorted(value):
                _figures(value[key], update)
        case list() | tuple():
            for item in value:
                _figures(item, update)
        case int() | float():
            update(f"{value:.2g},".encode())


def duplicates(cases: Sequence[Case]) -> tuple[tuple[str, str], ...]:
    """Pairs of cases of different splits with the same trace: the later one repeats what another split knows."""
    seen: dict[str, Case] = {}
    found = []
    for case in cases:
        first = seen.setdefault(trace_hash(case), case)
        if split_of(first.family) != split_of(case.family):
            found.append((first.id, case.id))
    return tuple(found)
