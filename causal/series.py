"""What the engine looks at: many series on one time axis, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


LARGEST = 1e140  # beyond it squares and sums overflow; no metric is that large


class UnusableInput(ValueError):
    """The input cannot be read as series over time; the message is one line for a person."""


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """Whose series it is and what it measures."""

    service: str
    metric: str

    @classmethod
    def parse(cls, column: str) -> SeriesName:
        """`service|metric`, divided at the first `|`; a column without one is a service with the metric `value`."""
        service, bar, metric = column.partition("|")
        if not service:
            raise UnusableInput(f"column {column!r} names no service: expected service|metric")
        return cls(service, metric if bar else "value")

    def __str__(self) -> str:
        return f"{self.service}|{self.metric}"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Series over time. `times`: (time,) epoch seconds, strictly rising; `values`: (time, series), NaN = no data."""

    times: Floats
    values: Floats
    names: tuple[SeriesName, ...]

    @classmethod
    def from_columns(cls, times: npt.ArrayLike, columns: Mapping[str, npt.ArrayLike]) -> Frame:
        """Sort by time, keep the last row of a repeated time, read infinities and the absurdly large as no data.

        Raises UnusableInput when there is no row, no column, a time that is no number, or lengths that differ.
        """
        axis = _floats("time", times)
        if axis.size == 0:
            raise UnusableInput("no samples: the time column is empty")
        if not columns:
            raise UnusableInput("no series: there is no column beside time")
        if not np.isfinite(axis).all():
            raise UnusableInput(f"{int((~np.isfinite(axis)).sum())} of {axis.size} times are not numbers")
        names = tuple(SeriesName.parse(column) for column in columns)
        if len(set(names)) != len(names):
            raise UnusableInput("two columns name the same series")
        order = np.argsort(axis, kind="stable")
        axis = axis[order]
        last = np.append(axis[1:] != axis[:-1], True)
        rows = order[last]
        values = np.empty((rows.size, len(names)))
        for j, (column, data) in enumerate(columns.items()):
            series = _floats(column, data)
            if series.size != order.size:
                raise UnusableInput(f"column {column!r} has {series.size} samples, the time column {order.size}")
            values[:, j] = series[rows]
        values[~(np.abs(values) < LARGEST)] = np.nan
        return cls(axis[last], values, names)

    @property
    def step_s(self) -> float:
        """The usual distance of two samples; 0 when there is only one."""
        return float(np.median(np.diff(self.times))) if self.times.size > 1 else 0.0

    @property
    def services(self) -> tuple[str, ...]:
        """Each service once, in alphabetical order."""
        return tuple(sorted({name.service for name in self.names}))

    def rows(self, start: int, stop: int) -> Frame:
        """The samples start ≤ i < stop, as a view."""
        return Frame(self.times[start:stop], self.values[start:stop], self.names)

    def column(self, name: SeriesName) -> Floats | None:
        """One series, or None when it is not here."""
        return self.values[:, self.names.index(name)] if name in self.names else None


def quantiles(values: Floats, *probabilities: float) -> tuple[Floats, ...]:
    """Quantiles of each column over its data: one (series,) array a probability, NaN for a column without data.

    One sort for all of them; numpy's nanquantile walks column by column and warns on empty ones.
    """
    ranked = np.sort(values, axis=0)
    present = np.isfinite(ranked).sum(axis=0)
    top = np.maximum(present - 1, 0)
    columns = np.arange(values.shape[1])
    out = []
    for probability in probabilities:
        position = probability * top
        low = np.floor(position).astype(int)
        part = position - low
        lower, upper = ranked[low, columns], ranked[np.minimum(low + 1, top), columns]
        out.append(np.where(present > 0, lower + part * (upper - lower), np.nan))
    return tuple(out)


def _floats(name: str, data: npt.ArrayLike) -> Floats:
    try:
        array = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableInput(f"column {name!r} holds something that is not a number") from error
    if array.ndim != 1:
        raise UnusableInput(f"column {name!r} is not one series: it has {array.ndim} dimensions")
    return array
