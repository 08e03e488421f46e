"""A target's reader that notes what it was told, and one that tells it again; the same for the metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from agent.database.readings import Readings, Rows
from agent.database.snapshot import (
    Activity,
    Comparison,
    InvalidIndex,
    NotVisible,
    Plan,
    TableFacts,
    TargetIdentity,
    WhatIf,
    Workload,
)
from agent.ports import NoData, Rule, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.database.limits import Limits
    from agent.database.reader import TargetReader
    from agent.database.value import Value
    from lab.recordings.recording import MetricFamily, Recording

_Seen = TypeVar("_Seen", Plan, WhatIf, TableFacts, Comparison)
NOT_RECORDED = "it was not recorded"


def _key(method: str, *arguments: Any) -> str:
    return json.dumps([method, *arguments], ensure_ascii=False, sort_keys=True, default=str)


def _told(value: Value | NotVisible | str) -> Any:
    match value:
        case NotVisible():
            return {"not_visible": value.as_data()}
        case str():
            return {"text": value}
        case _:
            return {"value": value.as_data()}


def _rows_told(rows: Rows | NotVisible) -> Any:
    return {"not_visible": rows.as_data()} if isinstance(rows, NotVisible) else [dict(row) for row in rows]


class SharedLook:
    """One look at a target for many checks: what takes a window is taken once, the rest is asked when a check needs it.

    A check that asks for no window sees no counters of its start, as it would alone. Everything said is noted on the
    tape. Raises what the live reader raises.
    """

    def __init__(
        self, live: TargetReader, readings: Readings, workload: Workload, tape: dict[str, Any] | None = None
    ) -> None:
        self._live = live
        self._readings = readings
        self._workload = workload
        self._activity: Activity | None = None
        self.tape = {} if tape is None else tape
        self.tape[_key("readings")] = _readings_told(readings)
        self.tape[_key("workload")] = workload.as_data()

    def identity(self) -> TargetIdentity:
        identity = self._live.identity()
        self.tape[_key("identity")] = identity.as_data()
        return identity

    def workload(self, window_s: float) -> Workload:  # noqa: ARG002 it was taken before
        return self._workload

    def activity(self) -> Activity:
        if self._activity is None:
            self._activity = self._live.activity()
            self.tape[_key("activity")] = self._activity.as_data()
        return self._activity

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        return _part(self._readings, names, window_s, limits)

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        rows = self._live.asked(name, params)
        self.tape[_key("asked", name, dict(params))] = _rows_told(rows)
        return rows

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible:
        found = self._live.invalid_indexes()
        told = _told(found) if isinstance(found, NotVisible) else [one.as_data() for one in found]
        self.tape[_key("invalid_indexes")] = told
        return found

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible:
        return self._noted(_key("table_facts", schema, table), self._live.table_facts(schema, table))

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        return self._noted(_key("explain", query, user), self._live.explain(query, user))

    def what_if(
        self, query: str, schema: str, table: str, columns: Sequence[str], user: str | None = None
    ) -> WhatIf | NotVisible:
        found = self._live.what_if(query, schema, table, columns, user)
        return self._noted(_key("what_if", query, schema, table, list(columns), user), found)

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        return self._noted(_key("qualified", query, user), self._live.qualified(query, user))

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        found = self._live.explain_with(query, values, user)
        return self._noted(_key("explain_with", query, list(values), user), found)

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        return self._noted(_key("compared", query, rewritten), self._live.compared(query, rewritten))

    _Said = TypeVar("_Said", bound="Value | NotVisible | str")

    def _noted(self, key: str, said: _Said) -> _Said:
        self.tape[key] = _told(said)
        return said


def _part(readings: Readings, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
    now = {name: readings.now[name] for name in names if name in readings.now}
    if window_s > 0:
        return replace(readings, now=now, limits=limits)
    return replace(readings, now=now, before={}, window_s=0.0, limits=limits, known_deltas={})


def _readings_told(readings: Readings) -> dict[str, Any]:
    return {
        "server_version_num": readings.server_version_num,
        "database": readings.database,
        "in_recovery": readings.in_recovery,
        "window_s": readings.window_s,
        "now": {name: _rows_told(rows) for name, rows in readings.now.items()},
        "before": {name: _rows_told(rows) for name, rows in readings.before.items()},
    }


class RecordedReader:
    """Answers as the target did in one look; not visible what nobody asked it then."""

    def __init__(self, tape: Mapping[str, Any]) -> None:
        self._tape = tape
        self._readings = _readings_from(tape.get(_key("readings")))

    def identity(self) -> TargetIdentity:
        said = self._tape.get(_key("identity"))
        return TargetIdentity("recorded", "0", "", 0, in_recovery=False) if said is None else _identity(said)

    def workload(self, window_s: float) -> Workload:
        said = self._tape.get(_key("workload"))
        hidden = (NotVisible("the workload", NOT_RECORDED),)
        return Workload(window_s, (), (), 0.0, False, hidden) if said is None else Workload.from_data(said)

    def activity(self) -> Activity:
        said = self._tape.get(_key("activity"))
        hidden = (NotVisible("sessions", NOT_RECORDED),)
        return Activity({}, {}, (), 0, 0, hidden) if said is None else Activity.from_data(said)

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        return _part(self._readings, names, window_s, limits)

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        said = self._tape.get(_key("asked", name, dict(params)))
        return NotVisible(name, NOT_RECORDED) if said is None else _rows_from(said)

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible:
        said = self._tape.get(_key("invalid_indexes"))
        if said is None:
            return NotVisible("invalid indexes", NOT_RECORDED)
        if isinstance(said, list):
            return tuple(InvalidIndex.from_data(one) for one in said)
        return NotVisible.from_data(said["not_visible"])

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible:
        return self._found(_key("table_facts", schema, table), TableFacts.from_data)

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        return self._found(_key("explain", query, user), Plan.from_data)

    def what_if(
        self, query: str, schema: str, table: str, columns: Sequence[str], user: str | None = None
    ) -> WhatIf | NotVisible:
        return self._found(_key("what_if", query, schema, table, list(columns), user), WhatIf.from_data)

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        said = self._tape.get(_key("qualified", query, user))
        if said is None:
            return NotVisible("the text", NOT_RECORDED)
        return str(said["text"]) if "text" in said else NotVisible.from_data(said["not_visible"])

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        return self._found(_key("explain_with", query, list(values), user), Plan.from_data)

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        return self._found(_key("compared", query, rewritten), Comparison.from_data)

    def _found(self, key: str, read: Callable[[Mapping[str, Any]], _Seen]) -> _Seen | NotVisible:
        said = self._tape.get(key)
        if said is None:
            return NotVisible(json.loads(key)[0], NOT_RECORDED)
        return read(said["value"]) if "value" in said else NotVisible.from_data(said["not_visible"])


def _identity(said: Mapping[str, Any]) -> TargetIdentity:
    return TargetIdentity.from_data(said)


def _rows_from(said: Any) -> Rows | NotVisible:
    return tuple(said) if isinstance(said, list) else NotVisible.from_data(said["not_visible"])


def _readings_from(said: Mapping[str, Any] | None) -> Readings:
    if said is None:
        return Readings(0, "", in_recovery=False, window_s=0.0, now={})
    return Readings(
        server_version_num=said["server_version_num"],
        database=said["database"],
        in_recovery=said["in_recovery"],
        window_s=said["window_s"],
        now={name: _rows_from(rows) for name, rows in said["now"].items()},
        before={name: _rows_from(rows) for name, rows in said["before"].items()},
    )


class RecordedMetrics:
    """Answers the recording's own queries, over any part of the time that was recorded, at the recorded step."""

    def __init__(self, recording: Recording) -> None:
        self._alert = recording.alert
        self._samples = recording.samples
        families = (*recording.samples.families, recording.samples.signal)
        self._by_query: dict[str, MetricFamily] = {family.query: family for family in families}

    def query_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...] | NoData:  # noqa: ARG002 samples have one step
        family = self._by_query.get(query)
        window = f"{start.isoformat()} to {end.isoformat()}"
        if family is None or not family.lines:
            return NoData(query, window)
        times = self._samples.start + np.arange(self._samples.count) * self._samples.step_s
        within = (times >= start.timestamp() - 1e-6) & (times <= end.timestamp() + 1e-6)
        if not within.any():
            return NoData(query, window)
        return tuple(
            Series(line.labels, times[within], np.array(line.values, dtype=float)[within]) for line in family.lines
        )

    def rule(self, alertname: str, labels: Mapping[str, str]) -> Rule | None:  # noqa: ARG002 there is one alert only
        if alertname != self._alert.labels.get("alertname"):
            return None
        return Rule(alertname, self._alert.expr, self._alert.for_s)

    def active_since(self, alertname: str, labels: Mapping[str, str]) -> datetime | None:  # noqa: ARG002 as above
        if alertname != self._alert.labels.get("alertname"):
            return None
        return datetime.fromtimestamp(self._alert.active_at, UTC)
