"""Snapshots that go to JSON and come back the same."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal, Self, Union, cast


class Value:
    """A frozen dataclass with as_data() and from_data().

    Fields may be JSON scalars, datetimes, other Values, tuples of these, and mappings with string keys.
    """

    __slots__ = ()

    def as_data(self) -> dict[str, Any]:
        """JSON-ready: tuples become lists, moments RFC 3339 text."""
        return {field.name: _data(getattr(self, field.name)) for field in fields(cast("Any", self))}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """What as_data() gave, as a value again. Unknown keys are ignored.

        Raises:
            ValueError: a field is missing or of another kind.
        """
        try:
            return cls(
                **{name: _typed(kind, data[name]) for name, kind in _kinds(cast("Any", cls)).items() if name in data}
            )
        except (TypeError, AttributeError, LookupError) as error:
            raise ValueError(f"not a {cls.__name__}: {error}") from error


@functools.cache
def _kinds(cls: Any) -> Mapping[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _data(value: object) -> Any:
    match value:
        case Value():
            return value.as_data()
        case tuple() | list():
            return [_data(item) for item in value]
        case Mapping():
            return {str(key): _data(item) for key, item in value.items()}
        case datetime():
            return value.isoformat()
        case _:
            return value


def _typed(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in {Union, types.UnionType}:
        return _member(typing.get_args(kind), data)
    if origin is tuple:
        (item, *_) = typing.get_args(kind)
        return tuple(_typed(item, one) for one in _listed(data))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {str(key): _typed(typing.get_args(kind)[1], one) for key, one in data.items()}
    if kind is datetime:
        return datetime.fromisoformat(data)
    if isinstance(kind, type) and issubclass(kind, Value):
        return kind.from_data(data)
    return _scalar(kind, data)


def _listed(data: Any) -> list[Any]:
    if not isinstance(data, list | tuple):
        raise TypeError(f"a list was expected, not {type(data).__name__}")
    return list(data)


def _member(members: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in members:
        return None
    (only,) = [member for member in members if member is not type(None)]
    return _typed(only, data)


def _scalar(kind: Any, data: Any) -> Any:
    if kind is Any:
        return data
    if typing.get_origin(kind) is Literal:
        if data not in typing.get_args(kind):
            raise TypeError(f"{data!r} is none of {typing.get_args(kind)}")
        return data
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and not isinstance(data, kind):
        raise TypeError(f"{kind.__name__} was expected, not {type(data).__name__}")
    return data
