"""Actions on sessions, roles and the server itself. Their schema and table are empty: they are about no table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from guardrails.rendered import Rendered, UnknownAction, check_names
from guardrails.sql.identifier import UnusableName, literal, quoted
from guardrails.sql.lock import Mode

if TYPE_CHECKING:
    from guardrails.index_action import Connection

ROLE_SETTINGS = frozenset(
    """
    statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout work_mem
    plan_cache_mode connection_limit
    """.split()  # noqa: SIM905 a list of names reads better as text
)
"""connection_limit is no setting but ALTER ROLE … CONNECTION LIMIT; the rest are set for the role's next sessions."""
SERVER_SETTINGS = frozenset(
    """
    max_wal_size min_wal_size checkpoint_completion_target checkpoint_timeout autovacuum_vacuum_cost_limit
    autovacuum_vacuum_cost_delay autovacuum_naptime max_slot_wal_keep_size log_min_duration_statement log_lock_waits
    idle_in_transaction_session_timeout
    """.split()  # noqa: SIM905 a list of names reads better as text
)
"""Settings a reload is enough for, and none with which the server would not start again."""
_VALUE = re.compile(
    r"-1|[0-9]{1,12}(\.[0-9]{1,3})? ?(us|ms|s|min|h|d|B|kB|MB|GB|TB)?|on|off|auto|force_(custom|generic)_plan", re.ASCII
)
_LONGEST_IDENTIFIER = 200  # GIDSIZE
_SLOT = re.compile(r"[a-z0-9_]{1,63}", re.ASCII)
_LARGEST_PID = 2**31 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_QUERY_SHA256 = (
    "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.left(a.query, 4000), 'UTF8')), 'hex')"
)
_ORDINARY = "JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid AND NOT r.rolsuper"
_NOT_OURS = (
    " AND a.backend_type = 'client backend' AND pg_catalog.left(a.application_name, 7) <> 'stanch-'"
    " AND a.pid <> pg_catalog.pg_backend_pid()"
)
"""Looked at in the very statement that signals: no superuser, no walsender, no autovacuum worker, none of us. A session
that gives itself our name is left alone too, which errs on the safe side."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A session by pid and start, since pids are used again, and by what it does.

    backend_start is a timestamp with its zone. query_sha256 is of the first 4,000 characters of its statement, in hex;
    empty names no statement, which is enough to show the command to a person but not to have it approved.
    """

    connection: ClassVar[Connection] = "signal"
    strongest: ClassVar[Mode] = Mode.ACCESS_SHARE
    schema: ClassVar[str] = ""
    table: ClassVar[str] = ""
    pid: int
    backend_start: str
    query_sha256: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.pid <= _LARGEST_PID:
            raise UnknownAction("no process has that id")
        try:
            started = datetime.fromisoformat(self.backend_start)
        except ValueError as error:
            raise UnknownAction("backend_start is no timestamp") from error
        if started.tzinfo is None:
            raise UnknownAction("backend_start has no time zone")
        if self.query_sha256 and not _SHA256.fullmatch(self.query_sha256):
            raise UnknownAction("query_sha256 is no SHA-256 in hex")

    def _signal(self, function: str, state: str) -> Rendered:
        who = f"a.pid = {self.pid} AND a.backend_start = timestamptz {literal(self.backend_start)}{state}"
        if self.query_sha256:
            who += f" AND {_QUERY_SHA256} = {literal(self.query_sha256)}"
        activity = "FROM pg_catalog.pg_stat_activity a"
        return Rendered(
            (f"SELECT pg_catalog.{function}(a.pid) {activity} {_ORDINARY} WHERE {who}{_NOT_OURS}",),
            (),
            (),
            (),
            None,
            f"SELECT count(*) = 0 {activity} WHERE {who}",
        )


@dataclass(frozen=True, slots=True)
class CancelBackend(_Session):
    """End the running statement of one session; an idle session does not notice."""

    kind: ClassVar[Literal["cancel_backend"]] = "cancel_backend"

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        return self._signal("pg_cancel_backend", " AND a.state = 'active'")


@dataclass(frozen=True, slots=True)
class TerminateBackend(_Session):
    """End one session and roll back what it had open."""

    kind: ClassVar[Literal["terminate_backend"]] = "terminate_backend"

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        return self._signal("pg_terminate_backend", "")


def _check_value(value: str) -> None:
    if not _VALUE.fullmatch(value):
        raise UnknownAction(f"{value!a} is no value of a setting we know")


@dataclass(frozen=True, slots=True)
class SetRoleSetting:
    """One setting for the next sessions of one role. previous empty = it was not set."""

    kind: ClassVar[Literal["set_role_setting"]] = "set_role_setting"
    connection: ClassVar[Connection] = "admin"
    strongest: ClassVar[Mode] = Mode.ACCESS_SHARE
    schema: ClassVar[str] = ""
    table: ClassVar[str] = ""
    role: str
    setting: str
    value: str
    previous: str = ""

    def __post_init__(self) -> None:
        check_names(self.role)
        if self.setting not in ROLE_SETTINGS:
            raise UnknownAction(f"unknown role setting {self.setting!a}")
        _check_value(self.value)
        if self.previous:
            _check_value(self.previous)
        if self.setting == "connection_limit":
            for value in (self.value, self.previous or "-1"):
                if not re.fullmatch(r"-1|[0-9]{1,6}", value, re.ASCII):
                    raise UnknownAction("a connection limit is a whole number")

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        role, name = quoted(self.role), literal(self.role)
        if self.setting == "connection_limit":
            steps = f"ALTER ROLE {role} CONNECTION LIMIT {self.value}"
            undo = f"ALTER ROLE {role} CONNECTION LIMIT {self.previous or '-1'}"
            proof = f"SELECT rolconnlimit = {self.value} FROM pg_catalog.pg_roles WHERE rolname = {name}"  # noqa: S608
        else:
            steps = f"ALTER ROLE {role} SET {self.setting} = {literal(self.value)}"
            undo = f"ALTER ROLE {role} RESET {self.setting}"
            if self.previous:
                undo = f"ALTER ROLE {role} SET {self.setting} = {literal(self.previous)}"
            wanted = literal(f"{self.setting}={self.value}")
            proof = f"SELECT {wanted} = ANY (rolconfig) FROM pg_catalog.pg_roles WHERE rolname = {name}"  # noqa: S608
        return Rendered((steps,), (), (undo,), (), None, proof)


@dataclass(frozen=True, slots=True)
class AlterSystemReload:
    """One setting of the whole server that a reload is enough for. previous empty = it was not in auto.conf."""

    kind: ClassVar[Literal["alter_system_reload"]] = "alter_system_reload"
    connection: ClassVar[Connection] = "admin"
    strongest: ClassVar[Mode] = Mode.ACCESS_SHARE
    schema: ClassVar[str] = ""
    table: ClassVar[str] = ""
    setting: str
    value: str
    previous: str = ""

    def __post_init__(self) -> None:
        if self.setting not in SERVER_SETTINGS:
            raise UnknownAction(f"unknown server setting {self.setting!a}")
        _check_value(self.value)
        if self.previous:
            _check_value(self.previous)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        undo = f"ALTER SYSTEM RESET {self.setting}"
        if self.previous:
            undo = f"ALTER SYSTEM SET {self.setting} = {literal(self.previous)}"
        reload = "SELECT pg_catalog.pg_reload_conf()"
        return Rendered(
            (f"ALTER SYSTEM SET {self.setting} = {literal(self.value)}", reload),
            (undo, reload),
            (undo, reload),
            (),
            None,
            f"SELECT pg_catalog.current_setting({literal(self.setting)}) = {literal(self.value)}",
        )


@dataclass(frozen=True, slots=True)
class RollbackPrepared:
    """Give up a prepared transaction that nobody finishes. Its work is lost."""

    kind: ClassVar[Literal["rollback_prepared"]] = "rollback_prepared"
    connection: ClassVar[Connection] = "admin"
    strongest: ClassVar[Mode] = Mode.ACCESS_SHARE
    schema: ClassVar[str] = ""
    table: ClassVar[str] = ""
    identifier: str

    def __post_init__(self) -> None:
        readable = self.identifier.isprintable() and self.identifier.isascii() and "\\" not in self.identifier
        if not 1 <= len(self.identifier) < _LONGEST_IDENTIFIER or not readable:
            raise UnknownAction("a transaction identifier is 1 to 199 printable ASCII characters")
        try:
            literal(self.identifier)
        except UnusableName as error:
            raise UnknownAction(str(error)) from error

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        name = literal(self.identifier)
        proof = f"SELECT count(*) = 0 FROM pg_catalog.pg_prepared_xacts WHERE gid = {name}"  # noqa: S608 quoted
        return Rendered((f"ROLLBACK PREPARED {name}",), (), (), (), None, proof)


@dataclass(frozen=True, slots=True)
class DropReplicationSlot:
    """Drop a slot whose consumer is gone, so that its WAL can be recycled. The consumer must be seeded anew."""

    kind: ClassVar[Literal["drop_replication_slot"]] = "drop_replication_slot"
    connection: ClassVar[Connection] = "admin"
    strongest: ClassVar[Mode] = Mode.ACCESS_SHARE
    schema: ClassVar[str] = ""
    table: ClassVar[str] = ""
    slot: str

    def __post_init__(self) -> None:
        if not _SLOT.fullmatch(self.slot):
            raise UnknownAction("a slot's name is 1 to 63 lower-case letters, digits and underscores")

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        name = literal(self.slot)
        proof = f"SELECT count(*) = 0 FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"  # noqa: S608
        return Rendered((f"SELECT pg_catalog.pg_drop_replication_slot({name})",), (), (), (), None, proof)
