"""Index advice measured by what it promises: the indexes are really built, one statement at a time, and run.

Beside ours: the best set known (picked by hand by the author of the statements, so an anchor and no opponent), and the
idea of Supabase's index_advisor (https://github.com/supabase/index_advisor): a hypothetical index on every column of
the statement's tables, one EXPLAIN, and what it uses is the advice.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import click
import psycopg

from agent.database.advisor.advise import advise as advise_statement
from agent.database.advisor.definition import Definition, column_key
from agent.database.advisor.statement import NotUnderstood, read, tables
from agent.database.snapshot import NotVisible
from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup
from connectors.named_sql import load
from connectors.target.advice import AdvisorSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.database.advisor.trial import Planner

RUNS = 3
SLOW_S = 2.0
"""A run longer than this is not repeated."""
TIMEOUT_S = 20
"""A statement that takes longer counts as this long, so its speed-up is a lower bound."""
SCHEMAS = {"q": "parcels", "n": "parcels", "t": "tpch"}
_SETTINGS = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "fsync": "off",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "jit": "off",
}
_EXTENSIONS = ("hypopg", "pg_trgm", "pg_stat_statements")
_PREFIX = "stanch_bench_"

Row: TypeAlias = dict[str, Any]
Advisor: TypeAlias = Callable[["Case"], "Advised"]


@dataclass(frozen=True, slots=True)
class Case:
    """A statement with the CREATE INDEX bodies known to be good for it; none for one that no index helps."""

    id: str
    sql: str
    known: tuple[str, ...]

    @property
    def database(self) -> str:
        return SCHEMAS[self.id[0]]

    @property
    def set(self) -> str:
        return {"q": "own", "n": "negative", "t": "tpch"}[self.id[0]]


@dataclass(frozen=True, slots=True)
class Advised:
    """What an advisor said: complete CREATE INDEX statements, and how long it took (None: not measured here)."""

    indexes: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    case: Case
    advisor: str
    advised: Advised
    base_ms: float
    after_ms: float
    bytes: int
    failed: int

    @property
    def speed_up(self) -> float:
        return self.base_ms / self.after_ms


@click.command("advise", epilog="\b\nExample:\n  stanch bench advise --json > advise.jsonl")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a statement and advisor, then the sums.")
@click.option("--only", type=click.Choice(["own", "negative", "tpch"]), help="One of the three sets of statements.")
@click.option(
    "--advice",
    metavar="NAME=FILE",
    multiple=True,
    help='Another tool\'s advice, to be built and run too: lines {"id", "indexes": [{"sql"}], "seconds"?}.',
)
def advise(*, as_json: bool, only: str | None, advice: tuple[str, ...]) -> None:
    """Build what is advised and run the statements, on a server of its own. About eight minutes, 3 GB of disk."""
    cases = [case for case in read_cases() if only in {None, case.set}]
    others = dict(_advice_of(one) for one in advice)
    measured: list[Measured] = []
    for database in dict.fromkeys(case.database for case in cases):
        with _server(database) as dsn, AdvisorSession(dsn) as session:
            advisors: dict[str, Advisor] = {
                "known": lambda case: Advised(tuple(f"CREATE INDEX ON {body}" for body in case.known), None),
                "stanch": lambda case, session=session: _stanch(case, session),  # type: ignore[misc]  # bound now
                "single columns": lambda case, session=session: single_columns(case.sql, session),  # type: ignore[misc]
                **{name: lambda case, said=said: said.get(case.id, Advised((), None)) for name, said in others.items()},  # type: ignore[misc]
            }
            for case in cases:
                if case.database == database:
                    measured += list(_measure(case, advisors, dsn, as_json=as_json))
    for row in sums(measured):
        click.echo(json.dumps(row) if as_json else _words(row))


def read_cases() -> list[Case]:
    """The statements of advise_queries.sql; `-- index: body` lines before the text are the known ones."""
    cases = []
    for name, text in load("lab.bench", "advise_queries.sql").items():
        lines = text.splitlines()
        known = tuple(line.removeprefix("-- index:").strip() for line in lines if line.startswith("-- index:"))
        sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
        cases.append(Case(name, sql, known))
    return cases


def single_columns(sql: str, planner: Planner) -> Advised:
    """The baseline: every single column of the statement's tables at once, one EXPLAIN, what the plan uses."""
    began = time.perf_counter()
    try:
        statement = read(sql)
    except NotUnderstood:
        return Advised((), time.perf_counter() - began)
    profiles = [p for p in planner.tables(tables(statement.tree), None).values() if not isinstance(p, NotVisible)]
    columns = [
        Definition(profile.schema, profile.table, (column_key(column.name),))
        for profile in profiles
        for column in profile.columns
        if all(index.keys[0].column != column.name for index in profile.indexes)
    ]
    text = planner.plannable(statement.text, None)
    if isinstance(text, NotVisible):
        return Advised((), time.perf_counter() - began)
    before, after = planner.trial(text, ()), planner.trial(text, tuple(dict.fromkeys(columns)))
    if isinstance(before, NotVisible) or isinstance(after, NotVisible) or after.cost >= before.cost:
        return Advised((), time.perf_counter() - began)
    used = sorted(f"CREATE INDEX ON {one.schema}.{one.table}{one.body()}" for one in after.used)
    return Advised(tuple(used), time.perf_counter() - began)


def _stanch(case: Case, session: AdvisorSession) -> Advised:
    began = time.perf_counter()
    advice = advise_statement(case.sql, session, extensions=session.extensions)
    seconds = time.perf_counter() - began
    found: list[str] = []
    for one in advice.indexes:
        leaves = advice.profiles[one.definition.schema, one.definition.table].leaves
        found += one.definition.statements(leaves)
    return Advised(tuple(found), seconds)


def _advice_of(option: str) -> tuple[str, Mapping[str, Advised]]:
    name, _, path = option.partition("=")
    said: dict[str, Advised] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        body = json.loads(line)
        said[body["id"]] = Advised(tuple(one["sql"] for one in body.get("indexes", ())), body.get("seconds"))
    return name, said


class _server:  # noqa: N801 used like a function
    """A server with one of the two databases, filled; the cluster goes when it is left."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._place = tempfile.TemporaryDirectory(prefix="stanch-advise-", dir="/var/tmp")

    def __enter__(self) -> str:
        place = Path(self._place.name)
        self._group = ProcessGroup(place / "run", _progress)
        self._group.__enter__()
        self._postgres = EmbeddedPostgres(
            self._group,
            "postgres",
            place / "cluster",
            log_path=place / "postgres.log",
            progress=_progress,
            settings=_SETTINGS,
        )
        self._postgres.start()
        self._postgres.ensure_database(self._database)
        dsn = self._postgres.dsn(database=self._database)
        _progress(f"{self._database}: loading")
        with psycopg.connect(dsn, autocommit=True) as connection:
            for extension in _EXTENSIONS:
                _attempt(connection, f"CREATE EXTENSION IF NOT EXISTS {extension}")
            connection.execute(_own(load("lab.bench", "advise_schema.sql")[self._database]))
            connection.execute("VACUUM (ANALYZE)")
        return dsn

    def __exit__(self, *error: object) -> None:
        self._postgres.stop()
        self._postgres.remove()
        self._group.__exit__(None, None, None)
        self._place.cleanup()


def _measure(case: Case, advisors: Mapping[str, Advisor], dsn: str, *, as_json: bool) -> Iterator[Measured]:
    _progress(case.id)
    known: dict[frozenset[str], tuple[float, int, int]] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_own(f"SET statement_timeout = '{TIMEOUT_S}s'"))
        base_ms = _best_ms(connection, case.sql)
        for name, advisor in advisors.items():
            advised = advisor(case)
            bodies = frozenset(_body(sql) for sql in advised.indexes)
            if bodies not in known:
                known[bodies] = _with_indexes(connection, case.sql, advised.indexes) if bodies else (base_ms, 0, 0)
            after_ms, size, failed = known[bodies]
            found = Measured(case, name, advised, base_ms, after_ms, size, failed)
            if as_json:
                click.echo(json.dumps(_row(found)))
            yield found


def _with_indexes(connection: psycopg.Connection[Any], sql: str, indexes: Sequence[str]) -> tuple[float, int, int]:
    """Best run with the indexes there, their bytes, and how many could not be built."""
    before = _index_names(connection)
    connection.execute("SET statement_timeout = 0")
    failed = sum(not _attempt(connection, statement) for statement in indexes)
    tables_named = {
        statement.split(" ON ", 1)[1].split()[0].split("(")[0] for statement in indexes if " ON " in statement
    }
    for table in tables_named:
        _attempt(connection, f"VACUUM (ANALYZE) {table.removeprefix('ONLY ')}")
    connection.execute(_own(f"SET statement_timeout = '{TIMEOUT_S}s'"))
    new = sorted(_index_names(connection) - before)
    sizes = [
        cast("int", cast("tuple[Any, ...]", row)[0])
        for name in new
        if (row := connection.execute("SELECT pg_relation_size(%s::regclass)", (name,)).fetchone())
    ]
    best_ms = _best_ms(connection, sql)
    for name in new:
        _attempt(connection, f"DROP INDEX {name}")
    return best_ms, sum(sizes), failed


def _index_names(connection: psycopg.Connection[Any]) -> set[str]:
    query = "SELECT indexrelid::regclass::text FROM pg_stat_user_indexes"
    return {row[0] for row in connection.execute(query).fetchall()}


def _best_ms(connection: psycopg.Connection[Any], sql: str) -> float:
    """The shortest of three runs after one to warm up; writes are rolled back, outside the time."""
    times: list[float] = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(_own(sql)).fetchall() if _returns(sql) else connection.execute(_own(sql))
                times.append(time.perf_counter() - began)
        except psycopg.errors.QueryCanceled:
            return TIMEOUT_S * 1000.0
        if times[-1] > SLOW_S:
            break
    return min(times[1:] or times) * 1000


def _returns(sql: str) -> bool:
    return sql.lstrip()[:6].upper() not in {"UPDATE", "DELETE"}


def _attempt(connection: psycopg.Connection[Any], sql: str) -> bool:
    try:
        connection.execute(_own(sql))
    except psycopg.Error as error:
        _progress(f"{sql[:80]}: {str(error).splitlines()[0]}")
        return False
    return True


def _own(sql: str) -> bytes:
    return sql.encode()


def _body(sql: str) -> str:
    """What an index is, whatever its name and how it is built."""
    return sql.split(" ON ", 1)[-1].replace("USING btree ", "").replace("public.", "").strip()


def _row(found: Measured) -> Row:
    return {
        "kind": "case",
        "set": found.case.set,
        "id": found.case.id,
        "advisor": found.advisor,
        "indexes": [_body(sql) for sql in found.advised.indexes],
        "base_ms": round(found.base_ms, 3),
        "after_ms": round(found.after_ms, 3),
        "speed_up": round(found.speed_up, 2),
        "bytes": found.bytes,
        "failed": found.failed,
        "seconds": None if found.advised.seconds is None else round(found.advised.seconds, 4),
    }


def sums(measured: Sequence[Measured]) -> Iterator[Row]:
    """For each set and advisor: how much faster, how much room, how long it took to say."""
    for group in dict.fromkeys(one.case.set for one in measured):
        for advisor in dict.fromkeys(one.advisor for one in measured):
            found = [one for one in measured if one.case.set == group and one.advisor == advisor]
            if not found:
                continue
            best = {one.case.id: one.after_ms for one in measured if one.advisor == "known"}
            seconds = [one.advised.seconds for one in found if one.advised.seconds is not None]
            yield {
                "kind": "sum",
                "set": group,
                "advisor": advisor,
                "statements": len(found),
                "geometric_mean_speed_up": round(statistics.geometric_mean([one.speed_up for one in found]), 2),
                "median_speed_up": round(statistics.median([one.speed_up for one in found]), 2),
                "at_least_10x": sum(one.speed_up >= 10 for one in found),  # noqa: PLR2004 the figure's name
                "within_2x_of_known": sum(one.after_ms <= 2 * best.get(one.case.id, 0.0) for one in found),
                "slower": sum(one.speed_up < 0.8 for one in found),  # noqa: PLR2004 beyond the noise
                "advised": sum(bool(one.advised.indexes) for one in found),
                "indexes": sum(len(one.advised.indexes) for one in found),
                "failed": sum(one.failed for one in found),
                "megabytes": round(sum(one.bytes for one in found) / 2**20, 1),
                "base_s": round(sum(one.base_ms for one in found) / 1000, 2),
                "after_s": round(sum(one.after_ms for one in found) / 1000, 2),
                "advise_mean_s": round(statistics.mean(seconds), 3) if seconds else None,
                "advise_max_s": round(max(seconds), 3) if seconds else None,
            }


def _words(row: Row) -> str:
    took = "" if row["advise_max_s"] is None else f", said in {row['advise_mean_s']} s (at most {row['advise_max_s']})"
    if row["set"] == "negative":
        return f"{row['set']:9} {row['advisor']:16} advice on {row['advised']} of {row['statements']}{took}"
    return (
        f"{row['set']:9} {row['advisor']:16} {row['geometric_mean_speed_up']:8.1f}x"
        f" (median {row['median_speed_up']:.0f}x),"
        f" {row['at_least_10x']}/{row['statements']} at least 10x, {row['within_2x_of_known']} within 2x of known,"
        f" {row['indexes']} indexes {row['megabytes']:.0f} MB, {row['base_s']} s to {row['after_s']} s{took}"
    )


def _progress(line: str) -> None:
    click.echo(line, err=True)
