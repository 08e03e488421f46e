"""Where the parameters of a remediation's action come from, and how they are taken out of the evidence.

In references/remediation.yaml, beside action and params_from:

    params: findings.0.action.params      # one path: the object there holds all of them
    params:                               # or each by itself
      pid: roots.0.pid                    # a path into the data of the check that params_from names
      query_sha256: {sha256_of: roots.0.query}
      columns: [tables.0.column]          # a list of sources is a list of their values
      partitions: table.partitions.*.name # * takes every item of a list
      schema: {check: stale_statistics, path: tables.0.schema}
      setting: {value: statement_timeout}

Left out, the action's own parameters are looked for by name at the top of the data. Names and positions are joined by
dots, so a key with a dot in it cannot be reached. Which types and values are right is the action's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

SHOWN_QUERY_CHARS = 4000
"""As much of a session's query as a check's data holds, and as the signal's own condition hashes."""


class MissingEvidence(LookupError):
    """The evidence does not hold what a remediation takes its parameters from."""


@dataclass(frozen=True, slots=True)
class FromEvidence:
    """A path into a check's data. check "": the one that params_from names. hashed: SHA-256 of the text there, hex."""

    path: tuple[str, ...]
    check: str = ""
    hashed: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


@dataclass(frozen=True, slots=True)
class Listed:
    items: tuple[Source, ...]


Source: TypeAlias = FromEvidence | Constant | Listed
Sources: TypeAlias = FromEvidence | Mapping[str, Source] | None
"""One source for all parameters, one for each, or None: by name at the top of the data."""


def read_sources(written: Any) -> Sources:
    """From the YAML value of `params`. Raises ValueError."""
    match written:
        case None:
            return None
        case str():
            return FromEvidence(_path(written))
        case Mapping():
            return {str(name): _source(str(name), value) for name, value in written.items()}
    raise ValueError(f"params is a path or a mapping of parameters, not {written!r}")


def checks_named(sources: Sources) -> tuple[str, ...]:
    """Checks other than params_from whose evidence is used."""
    if isinstance(sources, Mapping):
        return tuple(name for source in sources.values() for name in _named(source) if name)
    return ()


def gathered(
    sources: Sources, names: tuple[str, ...], evidence: Mapping[str, Mapping[str, Any]], params_from: str
) -> dict[str, Any]:
    """The parameters, not yet checked. names: those the action has; evidence: a check's data by its name.

    Raises:
        MissingEvidence: a path leads nowhere; the message names the check and the path.
    """
    match sources:
        case None:
            data = evidence.get(params_from, {})
            return {name: data[name] for name in names if name in data}
        case FromEvidence():
            found = _value(sources, evidence, params_from)
            if not isinstance(found, Mapping):
                raise MissingEvidence(f"{params_from}: {'.'.join(sources.path)} is no object of parameters")
            return {str(name): value for name, value in found.items()}
        case _:
            return {name: _value(source, evidence, params_from) for name, source in sources.items()}


def _source(name: str, written: Any) -> Source:
    match written:
        case str():
            return FromEvidence(_path(written))
        case list():
            return Listed(tuple(_source(name, item) for item in written))
        case {"value": value} if len(written) == 1:
            return Constant(value)
        case {"sha256_of": str(path)} if set(written) <= {"sha256_of", "check"}:
            return FromEvidence(_path(path), str(written.get("check", "")), hashed=True)
        case {"check": str(check), "path": str(path)} if len(written) == 2:  # noqa: PLR2004 the two named
            return FromEvidence(_path(path), check)
    raise ValueError(f"params: {name} has no source that is known: {written!r}")


def _path(text: str) -> tuple[str, ...]:
    parts = tuple(text.split("."))
    if not all(parts):
        raise ValueError(f"params: {text!r} is no path")
    return parts


def _named(source: Source) -> tuple[str, ...]:
    match source:
        case FromEvidence():
            return (source.check,)
        case Listed():
            return tuple(name for item in source.items for name in _named(item))
        case Constant():
            return ()


def _value(source: Source, evidence: Mapping[str, Mapping[str, Any]], params_from: str) -> Any:
    match source:
        case Constant():
            return source.value
        case Listed():
            return [_value(item, evidence, params_from) for item in source.items]
        case FromEvidence():
            check = source.check or params_from
            where = f"{check}: there is no {'.'.join(source.path)}"
            if check not in evidence:
                raise MissingEvidence(f"{check} was not answered")
            found = walk(evidence[check], source.path, where)
            if not source.hashed:
                return found
            if not isinstance(found, str):
                raise MissingEvidence(f"{where} that is a text")
            return query_sha256(found)


def walk(data: Any, path: tuple[str, ...], where: str) -> Any:
    """The value at a path. Raises MissingEvidence with the words of where."""
    for position, part in enumerate(path):
        match data:
            case Mapping() if part in data:
                data = data[part]
            case list() | tuple() if part == "*":
                return [walk(item, path[position + 1 :], where) for item in data]
            case list() | tuple() if part.isascii() and part.isdigit() and int(part) < len(data):
                data = data[int(part)]
            case _:
                raise MissingEvidence(where)
    return data


def query_sha256(query: str) -> str:
    """As guardrails.server_action compares it: of the first characters only, since a check keeps no more."""
    return hashlib.sha256(query[:SHOWN_QUERY_CHARS].encode()).hexdigest()
