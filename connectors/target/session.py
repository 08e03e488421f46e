"""One psycopg connection to a target: how it is opened, how long it may take, and what its errors mean to a caller."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from connectors.named_sql import load
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 20.0
"""Beyond the server's own statement_timeout: a server that stops answering altogether is given up after it."""
APPLICATION_NAME_BYTES = 63  # NAMEDATALEN - 1; the server cuts what is longer

QUERIES: Mapping[str, str] = {
    **load("connectors.target", "queries.sql"),
    **load("connectors.target", "fix.sql"),
    **load("connectors.target", "readings.sql"),
    **load("connectors.target", "workload_readings.sql"),
}
MARK = "/* stanch */"
"""Begins what we ask, so that our own questions are not taken for the workload."""

_PERMANENT = ("28", "3D", "42", "0A")
"""SQLSTATE classes: authorisation, unknown database, syntax or privilege, not supported."""
_PERMANENT_TEXTS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "unsupported startup parameter",
    "could not translate host name",
    "invalid connection option",
    'missing "="',
)
"""libpq reports a refused log-in without its SQLSTATE, so the English text has to do; another locale means a retry."""

_POOLERS_REFUSAL = "unsupported startup parameter"
_OF_A_POOLER = ("26000", "42P05")
"""A prepared statement that is not there, or there already: the next transaction went to another server session."""
NO_POOLER = "a pooler such as PgBouncer in transaction mode lies between: connect to the server itself"

Connection = psycopg.Connection[DictRow]


def connect(dsn: str, name: str, application: str, settings: Mapping[str, str]) -> Connection:
    """An autocommit connection with its settings sent in the start-up packet, so that no pooler hands them on.

    Raises:
        Unreachable: with the server's reason, never with the DSN.
    """
    given = _parts(dsn, name)
    try:
        options = " ".join(f"-c {key}={_escaped(value)}" for key, value in settings.items())
        return psycopg.connect(
            make_conninfo(
                "",
                **{
                    **given,
                    "options": f"{given.get('options') or ''} {options}".strip(),
                    "application_name": application,
                    "connect_timeout": CONNECT_TIMEOUT_S,
                    "client_encoding": "UTF8",
                    "keepalives_idle": 10,
                    "keepalives_interval": 5,
                    "keepalives_count": 3,
                    "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1000),
                },
            ),
            autocommit=True,
            row_factory=dict_row,
        )
    except psycopg.Error as error:
        raise unreachable(name, error) from None  # the chain would show the DSN


def _parts(dsn: str, name: str) -> dict[str, Any]:
    """What libpq says of a DSN it cannot read quotes the piece it stumbled over, which may be the password."""
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.Error:
        why = "the DSN is neither postgresql://user@host:port/database nor key=value pairs that libpq understands"
        raise Unreachable(name, why, permanent=True) from None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def application_name(prefix: str, about: str) -> str:
    """At most 63 bytes, never half a character."""
    return f"{prefix}{about}".encode()[:APPLICATION_NAME_BYTES].decode(errors="ignore")


def unreachable(name: str, error: psycopg.Error) -> Unreachable:
    """What a caller does next: permanent for wrong settings and missing rights, otherwise a later try may work."""
    text = reason(error)
    permanent = (error.sqlstate or "").startswith(_PERMANENT) or any(part in text for part in _PERMANENT_TEXTS)
    pooled = error.sqlstate in _OF_A_POOLER or _POOLERS_REFUSAL in text
    return Unreachable(name, f"{text}; {NO_POOLER}" if pooled else text, permanent=permanent or pooled)


def reason(error: psycopg.Error) -> str:
    """The server's message without its position and hints, on one line."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())[:500] or type(error).__name__


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Turns what psycopg raises into Unreachable."""
    try:
        yield
    except psycopg.Error as error:
        raise unreachable(name, error) from error


@contextlib.contextmanager
def deadline(connection: Connection, seconds: float) -> Iterator[None]:
    """Breaks the connection when the server does not answer: neither libpq nor TCP notices one that only hangs."""
    timer = threading.Timer(seconds, _break, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _break(connection: Connection) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def rows(
    connection: Connection,
    query: str,
    params: Mapping[str, Any] | None = None,
    *,
    extension_schema: str | None = None,
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> list[DictRow]:
    """The rows of a named query, over the extended protocol, which takes exactly one statement."""
    home = sql.Identifier(extension_schema or "pg_catalog")
    text = sql.SQL(_literal(f"{MARK} {QUERIES[query]}")).format(extension=home)
    with deadline(connection, timeout_s):
        return connection.execute(text, params or {}, prepare=True).fetchall()


def row(connection: Connection, query: str, params: Mapping[str, Any] | None = None, **more: Any) -> DictRow | None:
    """The first row of a named query, or None."""
    found = rows(connection, query, params, **more)
    return found[0] if found else None


def statement(connection: Connection, text: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> list[DictRow]:
    """Sends one statement of ours that takes no parameters."""
    with deadline(connection, timeout_s):
        return verbatim(connection, f"{MARK} {text}")


def verbatim(connection: Connection, text: str) -> list[DictRow]:
    """Sends one statement exactly as it is: without parameters no character in it means anything to psycopg."""
    cursor = connection.execute(_literal(text), prepare=True)
    return cursor.fetchall() if cursor.description else []


def _literal(text: str) -> LiteralString:
    """For psycopg, which takes only a program's own text: this is our own, or has passed the guard, or was approved."""
    return cast("Any", text)  # type: ignore[no-any-return]


HIDDEN_FROM_US = (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.QueryCanceled)
"""Errors that mean "not visible now", not "no" and not "unreachable"."""
