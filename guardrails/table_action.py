"""Actions on a table's statistics, vacuum and constraints; none of them rewrites anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from guardrails.rendered import Rendered, UnknownAction, check_names, object_name
from guardrails.sql.identifier import literal, qualified, quoted
from guardrails.sql.lock import Mode

if TYPE_CHECKING:
    from guardrails.index_action import Connection

_LARGEST_STATISTICS_TARGET = 10_000
_STATISTICS_KINDS = frozenset({"ndistinct", "dependencies", "mcv"})
_STATISTICS_COLUMN_LIMIT = 8  # STATS_MAX_DIMENSIONS
STORAGE_PARAMETERS = frozenset(
    """
    autovacuum_enabled autovacuum_vacuum_threshold autovacuum_vacuum_scale_factor autovacuum_vacuum_cost_delay
    autovacuum_vacuum_cost_limit autovacuum_vacuum_insert_threshold autovacuum_vacuum_insert_scale_factor
    autovacuum_analyze_threshold autovacuum_analyze_scale_factor autovacuum_freeze_max_age fillfactor
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_STORAGE_VALUE = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,6})?|true|false", re.ASCII)


def _no_columns_twice(columns: tuple[str, ...]) -> None:
    check_names(*columns)
    if len(set(columns)) != len(columns):
        raise UnknownAction("a column is named twice")


def _list(columns: tuple[str, ...]) -> str:
    return f" ({', '.join(quoted(column) for column in columns)})" if columns else ""


@dataclass(frozen=True, slots=True)
class AnalyzeTable:
    """Fresh statistics; columns empty = all of them. A non-owner's ANALYZE only warns, so the proof looks itself."""

    kind: ClassVar[Literal["analyze_table"]] = "analyze_table"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        _no_columns_twice(self.columns)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        table = qualified(self.schema, self.table)
        return Rendered(
            (f"ANALYZE {table}{_list(self.columns)}",),
            (),
            (),
            ((self.schema, self.table),),
            None,
            "SELECT COALESCE(last_analyze > pg_catalog.now() - interval '1 hour', false)"  # noqa: S608 quoted
            f" FROM pg_catalog.pg_stat_user_tables WHERE relid = pg_catalog.to_regclass({literal(table)})",
        )


@dataclass(frozen=True, slots=True)
class VacuumTable:
    """A plain VACUUM, never FULL. freeze is for a table that nears wraparound."""

    kind: ClassVar[Literal["vacuum_table"]] = "vacuum_table"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    analyze: bool = True
    freeze: bool = False

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        table = qualified(self.schema, self.table)
        options = [name for name, on in (("FREEZE", self.freeze), ("ANALYZE", self.analyze)) if on]
        given = f" ({', '.join(options)})" if options else ""
        return Rendered(
            (f"VACUUM{given} {table}",),
            (),
            (),
            ((self.schema, self.table),),
            None,
            "SELECT COALESCE(last_vacuum > pg_catalog.now() - interval '1 hour', false)"  # noqa: S608 quoted
            f" FROM pg_catalog.pg_stat_user_tables WHERE relid = pg_catalog.to_regclass({literal(table)})",
        )


@dataclass(frozen=True, slots=True)
class SetStatisticsTarget:
    """More detailed statistics of one column, and their ANALYZE. target and previous: -1 = the server's default."""

    kind: ClassVar[Literal["set_statistics_target"]] = "set_statistics_target"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    column: str
    target: int
    previous: int = -1

    def __post_init__(self) -> None:
        check_names(self.schema, self.table, self.column)
        if not 1 <= self.target <= _LARGEST_STATISTICS_TARGET:
            raise UnknownAction(f"a statistics target lies between 1 and {_LARGEST_STATISTICS_TARGET}")
        if not -1 <= self.previous <= _LARGEST_STATISTICS_TARGET:
            raise UnknownAction("previous is -1 or a statistics target")

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        table, column = qualified(self.schema, self.table), quoted(self.column)
        change = f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS"
        analyze = f"ANALYZE {table} ({column})"
        return Rendered(
            (f"{change} {self.target}", analyze),
            (f"{change} {self.previous}",),
            (f"{change} {self.previous}", analyze),
            ((self.schema, self.table),),
            None,
            f"SELECT COALESCE(attstattarget, -1) = {self.target} FROM pg_catalog.pg_attribute"  # noqa: S608 quoted
            f" WHERE attrelid = pg_catalog.to_regclass({literal(table)}) AND attname = {literal(self.column)}",
        )


@dataclass(frozen=True, slots=True)
class CreateStatistics:
    """Extended statistics over columns whose values go together, and the ANALYZE that collects them."""

    kind: ClassVar[Literal["create_statistics"]] = "create_statistics"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...] = ("ndistinct", "dependencies", "mcv")

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        _no_columns_twice(self.columns)
        if not 2 <= len(self.columns) <= _STATISTICS_COLUMN_LIMIT:  # noqa: PLR2004 one column has statistics already
            raise UnknownAction(f"extended statistics take 2 to {_STATISTICS_COLUMN_LIMIT} columns")
        if not self.kinds or set(self.kinds) - _STATISTICS_KINDS or len(set(self.kinds)) != len(self.kinds):
            raise UnknownAction(f"kinds are some of {', '.join(sorted(_STATISTICS_KINDS))}")

    def render(self, proposal_id: str) -> Rendered:
        params = {"schema": self.schema, "table": self.table, "columns": list(self.columns), "kinds": list(self.kinds)}
        name = object_name(self.kind, params, proposal_id, self.table)
        statistics, table = qualified(self.schema, name), qualified(self.schema, self.table)
        columns = ", ".join(quoted(column) for column in self.columns)
        return Rendered(
            (f"CREATE STATISTICS {statistics} ({', '.join(self.kinds)}) ON {columns} FROM {table}", f"ANALYZE {table}"),
            (f"DROP STATISTICS IF EXISTS {statistics}",),
            (f"DROP STATISTICS {statistics}",),
            ((self.schema, self.table),),
            name,
            "SELECT count(*) = 1 FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n"  # noqa: S608 quoted
            f" ON n.oid = s.stxnamespace WHERE n.nspname = {literal(self.schema)} AND s.stxname = {literal(name)}",
        )


@dataclass(frozen=True, slots=True)
class SetTableStorage:
    """One autovacuum parameter of one table (or its fillfactor). previous empty = it was not set."""

    kind: ClassVar[Literal["set_table_storage"]] = "set_table_storage"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    parameter: str
    value: str
    previous: str = ""

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        if self.parameter not in STORAGE_PARAMETERS:
            raise UnknownAction(f"unknown storage parameter {self.parameter!a}")
        for value in filter(None, (self.value, self.previous)):
            if not _STORAGE_VALUE.fullmatch(value):
                raise UnknownAction(f"{value!a} is no number, true or false")
        if not self.value:
            raise UnknownAction("a storage parameter needs a value")

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        table = qualified(self.schema, self.table)
        undo = f"SET ({self.parameter} = {self.previous})" if self.previous else f"RESET ({self.parameter})"
        return Rendered(
            (f"ALTER TABLE {table} SET ({self.parameter} = {self.value})",),
            (),
            (f"ALTER TABLE {table} {undo}",),
            ((self.schema, self.table),),
            None,
            f"SELECT COALESCE({literal(f'{self.parameter}={self.value}')} = ANY (reloptions), false)"  # noqa: S608 quoted
            f" FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({literal(table)})",
        )


@dataclass(frozen=True, slots=True)
class AddConstraintNotValid:
    """A foreign key, or a CHECK that a column is not null, which old rows need not pass yet.

    A foreign key names its other table; a not-null check leaves referenced_* empty and has one column.
    """

    kind: ClassVar[Literal["add_constraint_not_valid"]] = "add_constraint_not_valid"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.ACCESS_EXCLUSIVE
    schema: str
    table: str
    columns: tuple[str, ...]
    referenced_schema: str = ""
    referenced_table: str = ""
    referenced_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        _no_columns_twice(self.columns)
        if self.referenced_table:
            check_names(self.referenced_schema, self.referenced_table)
            _no_columns_twice(self.referenced_columns)
            if not self.columns or len(self.columns) != len(self.referenced_columns):
                raise UnknownAction("a foreign key has as many columns on both sides")
        elif len(self.columns) != 1 or self.referenced_schema or self.referenced_columns:
            raise UnknownAction("a not-null check has one column and refers to nothing")

    def render(self, proposal_id: str) -> Rendered:
        params = {
            "schema": self.schema,
            "table": self.table,
            "columns": list(self.columns),
            "referenced_schema": self.referenced_schema,
            "referenced_table": self.referenced_table,
            "referenced_columns": list(self.referenced_columns),
        }
        name = object_name(self.kind, params, proposal_id, self.table)
        table = qualified(self.schema, self.table)
        relations = [(self.schema, self.table)]
        if self.referenced_table:
            relations.append((self.referenced_schema, self.referenced_table))
            other = qualified(self.referenced_schema, self.referenced_table)
            body = f"FOREIGN KEY{_list(self.columns)} REFERENCES {other}{_list(self.referenced_columns)}"
        else:
            body = f"CHECK ({quoted(self.columns[0])} IS NOT NULL)"
        return Rendered(
            (f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {body} NOT VALID",),
            (),
            (f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}",),
            tuple(relations),
            name,
            _constraint("count(*) = 1", table, name),
        )


@dataclass(frozen=True, slots=True)
class ValidateConstraint:
    """Check old rows against a constraint that was added NOT VALID, while writes go on."""

    kind: ClassVar[Literal["validate_constraint"]] = "validate_constraint"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    constraint: str

    def __post_init__(self) -> None:
        check_names(self.schema, self.table, self.constraint)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        table = qualified(self.schema, self.table)
        return Rendered(
            (f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(self.constraint)}",),
            (),
            (),
            ((self.schema, self.table),),
            None,
            _constraint("COALESCE(bool_and(convalidated), false)", table, self.constraint),
        )


def _constraint(what: str, table: str, name: str) -> str:
    return (
        f"SELECT {what} FROM pg_catalog.pg_constraint"  # noqa: S608 names are quoted
        f" WHERE conrelid = pg_catalog.to_regclass({literal(table)}) AND conname = {literal(name)}"
    )
