"""Figures of the SQL judge: statements a second, start-up, the cost of oversized input, exactness against a server."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import sqlglot

from guardrails.sql.check import check
from guardrails.sql.lock import MODES, UNKNOWN_RELATIONS
from guardrails.sql.readonly import check_readonly
from lab.bench.squawk import NoSquawk, compare, corpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DDL = (
    "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT 'none'",
    "CREATE INDEX CONCURRENTLY orders_open ON public.orders (customer_id, created_at) WHERE status = 'open'",
    "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID",
    "CREATE TABLE notes (id bigint PRIMARY KEY, body text NOT NULL, at timestamptz DEFAULT now())",
    "DROP INDEX CONCURRENTLY IF EXISTS orders_old",
)
_CTE = (
    """
    WITH recent AS (
      SELECT customer_id, count(*) AS n, sum(total) AS total FROM orders
      WHERE created_at > now() - interval '1 day' GROUP BY customer_id
    ), top AS (SELECT * FROM recent ORDER BY total DESC LIMIT 10)
    SELECT c.name, t.n, t.total FROM top t JOIN customers c ON c.id = t.customer_id WHERE t.total > $1
    """,
)
_OVERSIZED = {
    "one_mebibyte": "SELECT '" + "x" * 1024 * 1024 + "'",
    "nested_10000_deep": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "case_10000_deep": "SELECT " + "CASE WHEN true THEN " * 10_000 + "1" + " END" * 10_000,
    "statements_10000": "SELECT 1;" * 10_000,
}
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Exactness:
    """Against measured truth: underestimates must be 0; exact counts named relations only."""

    statements: int
    underestimates: int
    named: int
    exact: int
    missed_rewrites: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Statements a second, by the clock and by the processor time of this process, which a busy machine blurs less."""

    wall: int
    cpu: int


def rate_per_s(judged: Callable[[str], object], statements: Sequence[str], seconds: float) -> Rate:
    """The median of several rounds; the first call, which loads the parser, is left out."""
    for statement in statements:
        judged(statement)
    wall, cpu = [], []
    for _ in range(_ROUNDS):
        count, begin, begin_cpu = 0, time.perf_counter(), time.process_time()
        while (spent := time.perf_counter() - begin) < seconds / _ROUNDS:
            for statement in statements:
                judged(statement)
            count += len(statements)
        wall.append(count / spent)
        cpu.append(count / (time.process_time() - begin_cpu))
    return Rate(round(statistics.median(wall)), round(statistics.median(cpu)))


def parsed_by_sqlglot(statement: str) -> object:
    """The peer: what the parser alone takes for the same text, without any judgement."""
    return sqlglot.parse(statement, read="postgres")


def exactness(path: Path) -> Exactness:
    """From a file {"cases": [{"sql", "locks": {relation: mode}, "rewrites": [relation]}]}."""
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    under = named = exact = missed = 0
    for case in cases:
        report = check(case["sql"])
        said = {lock.relation: MODES[lock.mode] for lock in report.locks}
        bound = said.get(UNKNOWN_RELATIONS)
        for relation, spelling in case["locks"].items():
            taken, ours = MODES[spelling], said.get(relation, bound)
            under += ours is None or ours < taken
            if relation in said:
                named += 1
                exact += said[relation] == taken
        known = UNKNOWN_RELATIONS in report.rewrites
        missed += sum(relation not in report.rewrites and not known for relation in case["rewrites"])
    return Exactness(len(cases), under, named, exact, missed)


def oversized() -> dict[str, dict[str, Any]]:
    """What refusing each costs. peak_mib is the whole process up to then, so it only grows."""
    figures = {}
    for name, statement in _OVERSIZED.items():
        begin = time.perf_counter()
        refused = check(statement).verdict == "refuse" and check_readonly(statement).verdict == "block"
        figures[name] = {
            "refused": refused,
            "seconds": round(time.perf_counter() - begin, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    return figures


def start_up_s(*arguments: str) -> float:
    """Wall time of a whole `stanch` process, the best of three."""
    spent = []
    for _ in range(3):
        begin = time.perf_counter()
        command = [sys.executable, "-m", "service.cli", *arguments]
        subprocess.run(command, check=True, capture_output=True, input=b"")
        spent.append(time.perf_counter() - begin)
    return min(spent)


@click.command(
    epilog="\b\nExample:\n  stanch bench sql --json --locks measured_locks.json\n  stanch bench sql --squawk"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--seconds", default=5.0, show_default=True, help="How long each rate is measured.")
@click.option(
    "--locks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Measured truth: {"cases": [{"sql", "locks": {relation: mode}, "rewrites": []}]}.',
)
@click.option("--squawk", is_flag=True, help="Compare with Squawk on migrations.sql; the program has to be installed.")
def sql(*, as_json: bool, seconds: float, locks: Path | None, squawk: bool) -> None:
    """Speed, start-up, caps, and exactness against locks that a server really took."""
    figures: dict[str, Any] = {
        "ddl_check_per_s": asdict(rate_per_s(check, _DDL, seconds)),
        "cte_check_per_s": asdict(rate_per_s(check, _CTE, seconds)),
        "cte_readonly_per_s": asdict(rate_per_s(check_readonly, _CTE, seconds)),
        "cte_sqlglot_alone_per_s": asdict(rate_per_s(parsed_by_sqlglot, _CTE, seconds)),
        "oversized": oversized(),
        "help_s": round(start_up_s("sql", "--help"), 3),
        "empty_run_s": round(start_up_s("sql", "check"), 3),
    }
    if squawk:
        figures["squawk"] = _beside_squawk()
    if locks is not None:
        figures["locks"] = asdict(exactness(locks))
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name:20} {value}")


def _beside_squawk() -> dict[str, Any]:
    try:
        found = compare(corpus())
    except NoSquawk as error:
        raise click.UsageError(str(error)) from error
    return {
        "version": found.version,
        "scripts": found.scripts,
        "dangerous": found.dangerous,
        "recall": round(found.recall, 4),
        "false_alarms": round(found.false_alarms, 4),
        "false_alarms_of_rules_squawk_lacks": found.alone,
        "missed": found.missed,
        "besides": found.besides,
    }
