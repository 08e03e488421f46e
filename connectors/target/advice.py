"""The index advisor's eyes on a target: table profiles, plans, and plans with hypothetical indexes. It runs nothing.

HypoPG's indexes belong to a session, so one connection is kept, and what is there is told apart from what is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import sql

from agent.database.advisor.candidates import Extensions
from agent.database.advisor.catalog import ColumnProfile, IndexKey, IndexProfile, TableProfile
from agent.database.advisor.statement import written
from agent.database.advisor.trial import Trial
from agent.database.advisor.workload import Weighed
from agent.database.snapshot import NotVisible, Plan
from connectors.named_sql import load
from connectors.target import planned
from connectors.target.diagnose import NOT_PLANNABLE, SETTINGS
from connectors.target.session import (
    ANSWER_TIMEOUT_S,
    HIDDEN_FROM_US,
    MARK,
    Connection,
    connect,
    deadline,
    reason,
    row,
    translated,
    verbatim,
)
from guardrails.sql.identifier import UnusableName, qualified
from guardrails.sql.lex import Unreadable
from guardrails.sql.parse import one_statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.database.advisor.definition import Definition

APPLICATION = "stanch-advise"
QUERY_CHARS = 50_000
STATEMENTS = 60
"""Of a workload, those that took the most time; the rest together rarely matters."""
_WRITES_LOOKED_AT = 40
_QUERIES = load("connectors.target", "advisor.sql")
_SPLIT_TIMES = (1, 8)  # pg_stat_statements: planning and execution counted apart
_SKIPPED = r"^\s*/\* stanch"
_READS = r"^[\s(]*(SELECT|WITH|UPDATE|DELETE|MERGE|INSERT|VALUES|TABLE|/\*|--)"
_WRITES = r"^\s*(UPDATE|INSERT|MERGE)\M"
_REPEATED = 10
"""A write called less often is a load or a migration, not the workload."""


class AdvisorSession:
    """One kept connection; not to be shared between threads. Every method raises Unreachable and nothing else."""

    def __init__(self, dsn: str, name: str = "the database of --dsn") -> None:
        self._name = name
        self._profiles: dict[tuple[str, str], TableProfile | NotVisible] = {}
        self._homes: dict[tuple[str, str | None], str | None] = {}
        self._live: dict[Definition, _Hypothetical] = {}
        self._refused: set[Definition] = set()
        self._connection: Connection = connect(dsn, name, APPLICATION, SETTINGS)
        try:
            with translated(name):
                self._hypopg = self._extension("hypopg")
                self._hypopg_there = self._hypopg is not None or self._on_server("hypopg")
                self.extensions = Extensions(pg_trgm=self._extension("pg_trgm"))
                self._user: str = self._rows("whoami")[0]["user"]
            self._writes = self._writes_seen()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def validates(self) -> bool:
        return self._hypopg is not None

    @property
    def could_validate(self) -> bool:
        return self._hypopg_there and self._hypopg is None

    def tables(
        self, names: Sequence[tuple[str | None, str]], user: str | None
    ) -> Mapping[tuple[str | None, str], TableProfile | NotVisible]:
        with translated(self._name):
            try:
                return self._tables(names, user or self._user)
            except HIDDEN_FROM_US as error:
                return {name: NotVisible(f"table {name[1]}", reason(error)) for name in names}

    def plannable(self, text: str, user: str | None) -> str | NotVisible:
        with translated(self._name):
            try:
                return planned.guarded(self._connection, text, user or self._user)
            except HIDDEN_FROM_US as error:
                return NotVisible("the plan", reason(error))

    def trial(self, plannable: str, definitions: Sequence[Definition]) -> Trial | NotVisible:
        """The plan with exactly these hypothetical indexes; those HypoPG refuses are left out."""
        with translated(self._name):
            try:
                with deadline(self._connection, ANSWER_TIMEOUT_S):
                    self._set(definitions)
                    plan = self._plan(plannable)
            except (*HIDDEN_FROM_US, *NOT_PLANNABLE) as error:
                return NotVisible("the plan", reason(error))
        names = {self._live[one].name: one for one in definitions if one in self._live}
        shown = {str(node["Index Name"]) for node in plan.nodes() if node.get("Index Name")}
        sizes = {one: self._live[one].bytes for one in definitions if one in self._live}
        return Trial(plan, {name: one for name, one in names.items() if name in shown}, sizes)

    def workload(self, statements: int = STATEMENTS) -> tuple[Weighed, ...] | NotVisible:
        """The statements that took the most time since pg_stat_statements was reset."""
        with translated(self._name):
            found = self._busiest(_READS, statements)
        if isinstance(found, NotVisible):
            return found
        return tuple(
            Weighed(str(one["queryid"]), one["query"], one["user"], one["calls"], one["total_ms"]) for one in found
        )

    # -- profiles

    def _tables(
        self, names: Sequence[tuple[str | None, str]], user: str
    ) -> dict[tuple[str | None, str], TableProfile | NotVisible]:
        open_names = {name for schema, name in names if schema is None and (name, user) not in self._homes}
        if open_names:
            homes = planned.homes(self._connection, open_names, user)
            self._homes |= {(name, user): homes.get(name) for name in open_names}
        homed = {(schema, name): schema or self._homes[name, user] for schema, name in names}
        wanted = {(home, name) for (_, name), home in homed.items() if home is not None}
        self._read_profiles([one for one in sorted(wanted) if one not in self._profiles])
        return {
            (schema, name): self._profiles[home, name]
            if home is not None
            else NotVisible(f"table {name}", "no such table, a view, or in several schemas")
            for (schema, name), home in homed.items()
        }

    def _read_profiles(self, wanted: list[tuple[str, str]]) -> None:
        if not wanted:
            return
        relations = self._rows("profiles", {"schemas": [s for s, _ in wanted], "names": [n for _, n in wanted]})
        relids = [relation["relid"] for relation in relations]
        largest = [relation["largest"] for relation in relations]
        columns = self._rows("profile_columns", {"relids": relids, "largest": largest})
        indexes = self._rows("profile_indexes", {"relids": relids})
        for schema, name in wanted:
            why = "the catalog has no such table, or its name cannot be shown as it is"
            self._profiles[schema, name] = NotVisible(f"table {name}", why)
        for relation in relations:
            if not _writable(relation):
                continue
            profile = _profile(
                relation,
                [column for column in columns if column["relid"] == relation["relid"]],
                [index for index in indexes if index["relid"] == relation["relid"]],
            )
            if self._writes is not None:
                seen = self._writes.get(profile.table, _Writes())
                profile = replace(profile, inserts=seen.inserts, updates=seen.updates, updated_columns=seen.columns)
            self._profiles[profile.schema, profile.table] = profile

    def _writes_seen(self) -> dict[str, _Writes] | None:
        """By table name, what the busiest writing statements do; None where no statements are to be seen."""
        with translated(self._name):
            found = self._busiest(_WRITES, _WRITES_LOOKED_AT)
        if isinstance(found, NotVisible):
            return None
        seen: dict[str, _Writes] = {}
        for one in found:
            write = written(one["query"])
            if write is None or one["calls"] < _REPEATED:
                continue
            before = seen.get(write.table, _Writes())
            seen[write.table] = _Writes(
                before.inserts + (one["rows"] if write.kind in {"insert", "merge"} else 0),
                before.updates + (one["rows"] if write.kind == "update" else 0),
                before.columns | write.columns,
            )
        return seen

    def _busiest(self, wanted: str, statements: int) -> list[dict[str, Any]] | NotVisible:
        extension = row(self._connection, "extension", {"extension": "pg_stat_statements"})
        if extension is None:
            return NotVisible("statements", "the extension pg_stat_statements is not created in this database")
        split = tuple(extension["version"]) >= _SPLIT_TIMES
        try:
            return self._rows(
                "busiest",
                {"chars": QUERY_CHARS, "skipped": _SKIPPED, "wanted": wanted, "statements": statements},
                extension=extension["schema"],
                total_time="total_exec_time" if split else "total_time",
            )
        except (psycopg.errors.ObjectNotInPrerequisiteState, *HIDDEN_FROM_US) as error:
            return NotVisible("statements", reason(error))

    # -- plans

    def _plan(self, plannable: str) -> Plan:
        if _has_parameters(plannable):
            return planned.plan(self._connection, plannable)
        (explained,) = verbatim(self._connection, f"{MARK} EXPLAIN (VERBOSE, FORMAT JSON) {plannable}")
        return Plan.parse(explained["QUERY PLAN"])

    def _set(self, definitions: Sequence[Definition]) -> None:
        if self._hypopg is None:
            return
        gone = [one for one in self._live if one not in definitions]
        if gone:
            relids = [self._live.pop(one).relid for one in gone]
            self._ask("hypothetical_drop", {"relids": relids}, extension=self._hypopg)
        for definition in definitions:
            # A partial one is never asked for: HypoPG can crash the server on it (HypoPG issue 116).
            if definition in self._live or definition in self._refused or definition.where:
                continue
            try:
                (made,) = self._ask(
                    "hypothetical_index", {"command": definition.hypothetical()}, extension=self._hypopg
                )
            except NOT_PLANNABLE:  # not immutable after all, no operator class, a method it does not know
                self._refused.add(definition)
                continue
            self._live[definition] = _Hypothetical(made["indexrelid"], made["indexname"], int(made["bytes"]))

    def _extension(self, name: str) -> str | None:
        found = row(self._connection, "extension", {"extension": name})
        return found["schema"] if found is not None else None

    def _on_server(self, name: str) -> bool:
        """Whether the extension could be created; no where the server hides what it has."""
        try:
            return bool(self._rows("extension_on_server", {"extension": name}))
        except HIDDEN_FROM_US:
            return False

    def _rows(self, query: str, params: Mapping[str, Any] | None = None, **names: str) -> list[dict[str, Any]]:
        with deadline(self._connection, ANSWER_TIMEOUT_S):
            return self._ask(query, params, **names)

    def _ask(self, query: str, params: Mapping[str, Any] | None = None, **names: str) -> list[dict[str, Any]]:
        """Without a deadline of its own: a search asks hundreds of times, and each would start a thread."""
        fills = {name: sql.Identifier(value) for name, value in names.items()}
        text = sql.SQL(f"{MARK} {_QUERIES[query]}").format(**fills)
        return self._connection.execute(text, params or {}, prepare=True).fetchall()


@dataclass(frozen=True, slots=True)
class _Writes:
    inserts: int = 0
    updates: int = 0
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Hypothetical:
    relid: int
    name: str
    bytes: int


def _writable(relation: Mapping[str, Any]) -> bool:
    """Whether the table's full name can be written so that a person reads what PostgreSQL reads."""
    try:
        qualified(relation["schema"], relation["table"])
    except UnusableName:
        return False
    return True


def _has_parameters(text: str) -> bool:
    try:
        return any(token.kind == "parameter" for token in one_statement(text))
    except Unreadable:
        return True


def _profile(
    relation: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], indexes: Sequence[Mapping[str, Any]]
) -> TableProfile:
    return TableProfile(
        schema=relation["schema"],
        table=relation["table"],
        kind=relation["kind"],
        rows=relation["rows"],
        bytes=relation["bytes"],
        columns=tuple(_column(column) for column in columns),
        indexes=tuple(_index(index) for index in indexes),
        leaves=tuple(zip(relation["leaf_schemas"], relation["leaf_names"], strict=True)),
        temporary=relation["temporary"],
        inserts=relation["inserts"],
        updates=relation["updates"],
        hot_share=relation["hot_updates"] / relation["updates"] if relation["updates"] else 0.0,
    )


def _column(column: Mapping[str, Any]) -> ColumnProfile:
    return ColumnProfile(
        name=column["name"],
        type=column["type"],
        c_collation=column["c_collation"],
        n_distinct=column["n_distinct"],
        null_share=column["null_share"],
        width_bytes=column["width_bytes"],
        correlation=column["correlation"],
        common_values=tuple(column["common_values"] or ()),
        common_shares=tuple(column["common_shares"] or ()),
    )


def _index(index: Mapping[str, Any]) -> IndexProfile:
    keys = zip(index["texts"], index["columns"], index["opclasses"], index["options"], strict=True)
    return IndexProfile(
        name=index["name"],
        method=index["method"],
        keys=tuple(
            IndexKey(text, column, opclass, bool(option & 1), bool(option & 2))
            for text, column, opclass, option in keys
        ),
        include=tuple(index["include"]),
        predicate=index["predicate"],
        usable=index["usable"],
        unique=index["unique"],
        bytes=index["bytes"],
    )
