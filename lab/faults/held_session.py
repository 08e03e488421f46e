"""Other people's sessions on the target: an analyst's, a migration's, somebody's at a prompt.

Each is held by a thread of the process that injects, and bounded on both sides: the thread gives up after LASTS_S and
the server ends statements and idle transactions of its own accord. Whoever undoes a fault, this process or another,
finds its sessions by role and application name and ends them on the server; the threads notice.
"""

from __future__ import annotations

import secrets
import select
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from connectors import named_sql
from lab.faults.fault import CannotInjectError
from lab.shop.seed import APP_ROLE, DATABASE, OWNER_ROLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.faults.fault import Surroundings

LASTS_S = 300.0
"""How long a session is held when nobody undoes the fault."""
SUPPORT = "shop_support"
INVOICING = "shop_invoicing"
REPORTING = "shop_reporting"
ANALYST = "shop_analyst"
EXPORT = "shop_export"
IMPORT = "shop_import"
DEPLOY = "shop_deploy"
"""The shop's other roles. They may do what the application may; the one that deploys, what the owner may."""
_GONE_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.25
_LOCK_TIMEOUT_MS = 500
_TRIES = 10
_SQL = named_sql.load("lab.faults", "held_session.sql")


@dataclass(frozen=True, slots=True)
class Held:
    """One session. first: statements that are through when the fault counts as injected, BEGIN among them where a
    transaction is to stay open. then: what it does afterwards: once, and then it ends; or over and over with a pause
    of again_after_s, with anew in a session of its own each time. Without then it idles.
    """

    role: str
    application: str
    first: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    again_after_s: float | None = None
    anew: bool = False


def hold(lab: Surroundings, fault: str, sessions: Sequence[Held]) -> float:
    """Opens the sessions one after the other; when the last was there, epoch seconds.

    Raises CannotInjectError, with none of them left, when one is there already or the target refuses.
    """
    try:
        with admin(lab) as connection:
            for held in sessions:
                if connection.execute(_SQL["sessions"].encode(), _named(held)).fetchall():
                    raise CannotInjectError(f"{held.application} has a session already; undo {fault} first")
        try:
            for held in sessions:
                _start(held, login(lab, held.role))
        except psycopg.Error:
            release(lab, sessions)
            raise
    except psycopg.Error as refused:
        raise CannotInjectError(f"the target refused: {refused}".strip()) from refused
    return time.time()


def release(lab: Surroundings, sessions: Sequence[Held]) -> None:
    """Ends them, whoever holds them; their roles stay and may not log in. Nothing happens where there are none."""
    with admin(lab) as connection:
        for held in sessions:
            if _exists(connection, held.role):
                connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(held.role)))
                connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(held.role)))
        deadline = time.monotonic() + _GONE_WITHIN_S
        # The last first: who waits for another is to be gone before its wait is over.
        for held in reversed(sessions):
            while connection.execute(_SQL["end"].encode(), _named(held)).fetchall():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the session of {held.application} does not end in {_GONE_WITHIN_S:.0f} s")
                time.sleep(_LOOK_EVERY_S)


def admin(lab: Surroundings) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(make_conninfo(lab.admin_dsn, dbname=DATABASE, application_name="lab"), autocommit=True)


def login(lab: Surroundings, role: str) -> str:
    """A DSN of one of the shop's other roles, which is made when it is not there; its password is new each time."""
    password = secrets.token_urlsafe(18)
    name = sql.Identifier(role)
    with admin(lab) as connection:
        if not _exists(connection, role):
            member_of = sql.Identifier(OWNER_ROLE if role == DEPLOY else APP_ROLE)
            connection.execute(sql.SQL("CREATE ROLE {} IN ROLE {}").format(name, member_of))
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
    return make_conninfo(lab.admin_dsn, user=role, password=password, dbname=DATABASE)


def at_once(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    """DDL whose lock lasts an instant: short waits and several tries, since whoever waits for it holds up everybody.

    Raises CannotInjectError when the table stays locked.
    """
    connection.execute(sql.SQL("SET lock_timeout = {}").format(_LOCK_TIMEOUT_MS))
    for _ in range(_TRIES):
        try:
            connection.execute(statement.encode())
        except errors.LockNotAvailable:
            time.sleep(_LOOK_EVERY_S)  # for those who queued behind it
            continue
        connection.execute("RESET lock_timeout")
        return
    raise CannotInjectError(
        f"the table was locked by others for {_TRIES} tries of {_LOCK_TIMEOUT_MS} ms; end the long transaction on it"
    )


def _exists(connection: psycopg.Connection[tuple[object, ...]], role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None


def _named(held: Held) -> dict[str, str]:
    return {"role": held.role, "application": held.application}


def _start(held: Held, dsn: str) -> None:
    connection = _connect(held, dsn)
    try:
        for statement in held.first:
            connection.execute(statement.encode())
    except psycopg.Error:
        connection.close()
        raise
    threading.Thread(target=_live, args=(held, dsn, connection), name=held.application, daemon=True).start()


def _connect(held: Held, dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    milliseconds = int(LASTS_S * 1000)
    limits = f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    return psycopg.connect(dsn, application_name=held.application, options=limits, autocommit=True)


def _live(held: Held, dsn: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """What was cancelled is not tried again, and a session that was ended is not opened again: people look first."""
    until = time.monotonic() + LASTS_S
    try:
        while _once(held, connection, until):
            if held.anew:
                connection.close()
                connection = _connect(held, dsn)
    except psycopg.Error:
        return
    finally:
        connection.close()


def _once(held: Held, connection: psycopg.Connection[tuple[object, ...]], until: float) -> bool:
    """What it does, and the pause after it; whether it goes on."""
    for statement in held.then:
        connection.execute(statement.encode())
    left_s = until - time.monotonic()
    if held.again_after_s is None:
        _idle(connection, 0.0 if held.then else left_s)
        return False
    return _idle(connection, min(held.again_after_s, left_s)) and held.again_after_s < left_s


def _idle(connection: psycopg.Connection[tuple[object, ...]], for_s: float) -> bool:
    """False as soon as the server has ended the session: an idle client hears of it on its socket alone."""
    heard, _, _ = select.select([connection.fileno()], [], [], max(for_s, 0.0))
    return not heard
