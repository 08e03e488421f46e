"""Expressions an index may hold, written from a closed list of immutable ones; every other is refused with a reason.

PostgreSQL evaluates an index's expression once, when the row is written, so whatever depends on a setting (time zone,
date style, locale given at run time) cannot be indexed: the manual's page on CREATE INDEX, and pg_proc.provolatile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.sql.identifier import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[a-z_]+", re.ASCII)
_TEXT = frozenset({"text", "character varying", "character", "name", "citext", "literal"})
_NUMERIC = frozenset({"smallint", "integer", "bigint", "numeric", "double precision", "real", "number"})
_STABLE_TO_TEXT = frozenset({"date", "timestamp without time zone", "timestamp with time zone", "interval", "unknown"})
_ZONED = "timestamp with time zone"
_PLAIN_TIME = "timestamp without time zone"

_CASTS: Mapping[object, str] = {
    exp.DataType.Type.TEXT: "text",
    exp.DataType.Type.VARCHAR: "character varying",
    exp.DataType.Type.SMALLINT: "smallint",
    exp.DataType.Type.INT: "integer",
    exp.DataType.Type.BIGINT: "bigint",
    exp.DataType.Type.DECIMAL: "numeric",
    exp.DataType.Type.DOUBLE: "double precision",
    exp.DataType.Type.BOOLEAN: "boolean",
    exp.DataType.Type.DATE: "date",
    exp.DataType.Type.TIMESTAMP: _PLAIN_TIME,
    exp.DataType.Type.UUID: "uuid",
    exp.DataType.Type.JSONB: "jsonb",
}
_ONE_ARGUMENT: Mapping[type[exp.Expr], tuple[str, str]] = {
    exp.Lower: ("lower", "text"),
    exp.Upper: ("upper", "text"),
    exp.Length: ("length", "integer"),
    exp.MD5: ("md5", "text"),
    exp.Reverse: ("reverse", "text"),
    exp.Abs: ("abs", "number"),
}
_ARITHMETIC: Mapping[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}


class NotIndexable(ValueError):
    """Why an expression cannot be an index's key; the message is for people."""


Typed = tuple[str, str]  # SQL and its type; "unknown" when we cannot tell
TypeOf = "Callable[[str], str | None]"


def rendered(node: exp.Expr, type_of: Callable[[str], str | None]) -> Typed:
    """SQL and type of an expression over the plain columns of one table. type_of gives a column's type by its name.

    Raises:
        NotIndexable: something in it is not immutable, or not known to be.
    """
    node = node.unnest()
    match node:
        case exp.Column():
            return _column(node, type_of)
        case exp.Literal():
            return _literal(node)
        case exp.Boolean():
            return ("true" if node.this else "false"), "boolean"
        case exp.Cast():
            return _cast(node, type_of)
        case exp.JSONExtract() | exp.JSONExtractScalar() | exp.JSONBExtractScalar():
            return _json(node, type_of)
        case exp.TimestampTrunc():
            return _truncated(node, type_of)
        case exp.Extract():
            return _extracted(node, type_of)
        case exp.Date():
            return _dated(rendered(node.this, type_of))
        case exp.AtTimeZone():
            return _at_zone(node, type_of)
        case _:
            return _function(node, type_of)


def _function(node: exp.Expr, type_of: Callable[[str], str | None]) -> Typed:
    if (simple := _ONE_ARGUMENT.get(type(node))) is not None:
        inner, _ = rendered(node.this, type_of)
        return f"{simple[0]}({inner})", simple[1]
    if (sign := _ARITHMETIC.get(type(node))) is not None:
        return _arithmetic(node, sign, type_of)
    match node:
        case exp.Neg():
            inner, kind = rendered(node.this, type_of)
            return f"(- {inner})", kind
        case exp.Trim() if not node.args.get("expression") and not node.args.get("position"):
            return f"btrim({rendered(node.this, type_of)[0]})", "text"
        case exp.Coalesce():
            parts = [rendered(part, type_of) for part in (node.this, *node.expressions)]
            return f"COALESCE({', '.join(sql for sql, _ in parts)})", parts[0][1]
        case exp.DPipe():
            return _concatenated(node, type_of)
        case exp.Left() | exp.Right():
            name = "left" if isinstance(node, exp.Left) else "right"
            return f'"{name}"({rendered(node.this, type_of)[0]}, {rendered(node.expression, type_of)[0]})', "text"
        case exp.Substring():
            arguments = [node.this, *(node.args[name] for name in ("start", "length") if node.args.get(name))]
            return f"substring({', '.join(rendered(part, type_of)[0] for part in arguments)})", "text"
        case exp.Anonymous() if node.name.lower() == "to_tsvector":
            return _tsvector(node, type_of)
    raise NotIndexable(f"{type(node).__name__} is not known to be immutable")


def _column(node: exp.Column, type_of: Callable[[str], str | None]) -> Typed:
    name = node.this.name
    kind = type_of(name)
    if kind is None:
        raise NotIndexable(f"there is no column {name}")
    return quoted(name), kind.split("(")[0] if not kind.startswith("timestamp") else _without_precision(kind)


def _without_precision(kind: str) -> str:
    return re.sub(r"\(\d+\)", "", kind)


def _literal(node: exp.Literal) -> Typed:
    if node.is_string:
        return literal(node.name).strip(), "literal"
    if not _NUMBER.fullmatch(node.name):
        raise NotIndexable("a number written in an unusual way")
    return node.name, "number"


def _cast(node: exp.Cast, type_of: Callable[[str], str | None]) -> Typed:
    inner, kind = rendered(node.this, type_of)
    target = _CASTS.get(node.to.this)
    if target == "text" and kind in _TEXT:
        return inner, "literal" if kind == "literal" else "text"  # PostgreSQL writes such casts, people do not
    if target is None or node.to.args.get("nested"):
        raise NotIndexable(f"a cast to {node.to.sql(dialect='postgres').lower()[:40]} is not known to be immutable")
    if target == "date":
        return _dated((inner, kind))
    if target == _PLAIN_TIME and kind not in {"date", _PLAIN_TIME}:
        raise NotIndexable("the cast to timestamp depends on the session's settings")
    if target in _TEXT and kind in _STABLE_TO_TEXT:
        raise NotIndexable(f"the cast of {kind} to text depends on the session's settings")
    return f"({inner})::{target}", target


def _dated(inner: Typed) -> Typed:
    if inner[1] not in {"date", _PLAIN_TIME}:
        raise NotIndexable(
            "the day of a timestamp with time zone depends on the session's time zone; ask for a range instead: "
            "at >= day AND at < day + 1"
        )
    return f"({inner[0]})::date", "date"


def _json(node: exp.Expr, type_of: Callable[[str], str | None]) -> Typed:
    inner, kind = rendered(node.this, type_of)
    if kind not in {"json", "jsonb"}:
        raise NotIndexable("the operator is not the built-in one on json")
    path = _uncast(node.expression)
    if isinstance(node, exp.JSONBExtractScalar):
        if not (isinstance(path, exp.Literal) and path.is_string):
            raise NotIndexable("a json path that is no constant")
        return f"({inner} #>> {literal(path.name).strip()})", "text"
    if isinstance(path, exp.Literal) and path.is_string:  # as the catalog writes it, with its cast
        return _json_step(node, (inner, kind), literal(path.name).strip())
    steps = path.expressions[1:] if isinstance(path, exp.JSONPath) else []
    if len(steps) != 1:
        raise NotIndexable("a json key that is no constant")
    step = steps[0].this
    if isinstance(steps[0], exp.JSONPathKey) and isinstance(step, str):
        key = literal(step).strip()
    elif isinstance(steps[0], exp.JSONPathSubscript) and isinstance(step, int):
        key = str(step)
    else:
        raise NotIndexable("a json key that is no constant")
    return _json_step(node, (inner, kind), key)


def _json_step(node: exp.Expr, inner: Typed, key: str) -> Typed:
    scalar = isinstance(node, exp.JSONExtractScalar)
    return f"({inner[0]} {'->>' if scalar else '->'} {key})", "text" if scalar else inner[1]


def _uncast(node: exp.Expr) -> exp.Expr:
    """A constant without the cast that pg_get_indexdef() writes behind it."""
    inner = node.this if isinstance(node, exp.Cast) else None
    return inner if isinstance(inner, exp.Literal) else node


def _truncated(node: exp.TimestampTrunc, type_of: Callable[[str], str | None]) -> Typed:
    inner, kind = rendered(node.this, type_of)
    unit = node.args["unit"].name.lower()
    if kind != _PLAIN_TIME or not _WORD.fullmatch(unit):
        raise NotIndexable(
            "date_trunc of a timestamp with time zone depends on the session's time zone; ask for a range"
        )
    return f"date_trunc('{unit}', {inner})", kind


def _extracted(node: exp.Extract, type_of: Callable[[str], str | None]) -> Typed:
    inner, kind = rendered(node.expression, type_of)
    unit = node.name.lower()
    if kind not in {_PLAIN_TIME, "date"} or not _WORD.fullmatch(unit):
        raise NotIndexable("a part of a timestamp with time zone depends on the session's time zone; ask for a range")
    return f"EXTRACT({unit} FROM {inner})", "numeric"


def _at_zone(node: exp.AtTimeZone, type_of: Callable[[str], str | None]) -> Typed:
    inner, kind = rendered(node.this, type_of)
    zone = node.args["zone"]
    if kind not in {_ZONED, _PLAIN_TIME} or not (isinstance(zone, exp.Literal) and zone.is_string):
        raise NotIndexable("a time zone that is no constant")
    return f"({inner} AT TIME ZONE {literal(zone.name).strip()})", _PLAIN_TIME if kind == _ZONED else _ZONED


def _arithmetic(node: exp.Expr, sign: str, type_of: Callable[[str], str | None]) -> Typed:
    left, right = rendered(node.this, type_of), rendered(node.expression, type_of)
    if left[1] not in _NUMERIC or right[1] not in _NUMERIC:
        raise NotIndexable(f"{sign} on {left[1]} and {right[1]} is not known to be immutable")
    return f"({left[0]} {sign} {right[0]})", "number"


def _concatenated(node: exp.Expr, type_of: Callable[[str], str | None]) -> Typed:
    left, right = rendered(node.this, type_of), rendered(node.expression, type_of)
    if left[1] not in _TEXT or right[1] not in _TEXT:
        raise NotIndexable("|| of something that is no text depends on the session's settings")
    return f"({left[0]} || {right[0]})", "text"


def _tsvector(node: exp.Anonymous, type_of: Callable[[str], str | None]) -> Typed:
    arguments = [_uncast(argument) for argument in node.expressions]
    if len(arguments) != 2 or not (isinstance(arguments[0], exp.Literal) and arguments[0].is_string):  # noqa: PLR2004 configuration, text
        raise NotIndexable("to_tsvector without a written-out configuration depends on a setting")
    return f"to_tsvector({literal(arguments[0].name).strip()}, {rendered(arguments[1], type_of)[0]})", "tsvector"
