"""The SQL judge beside Squawk, a linter of migrations: which of its dangers are refused, and what is refused besides.

Squawk's opinion is never written down: its program is asked about each script of `migrations.sql`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guardrails.sql.check import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CORPUS = Path(__file__).with_name("migrations.sql")
_TIMEOUT_S = 120

NO_DANGER: Mapping[str, str] = {
    "require-lock-timeout": "about the session round the statement; our missing_lock_timeout warns",
    "require-statement-timeout": "about the session round the statement",
    "require-timeout-settings": "the older name of the two above",
    "prefer-robust-stmts": "IF NOT EXISTS everywhere is a habit, and over an index it hides an invalid one",
    "prefer-bigint-over-int": "a choice of type; our small_key notes it for keys",
    "prefer-bigint-over-smallint": "a choice of type",
    "prefer-identity": "a choice of type; our serial_column notes it",
    "prefer-text-field": "a choice of type; our varchar_limit notes it",
    "prefer-timestamp-tz": "a choice of type; our timestamp_without_zone notes it",
    "ban-char-field": "a choice of type; our char_column notes it",
    "ban-duplicate-column-assignments": "PostgreSQL refuses the statement by itself",
    "identifier-too-long": "PostgreSQL cuts the name; our long_name warns",
    "require-enum-value-ordering": "where a value stands, not what the change does; our enum_value_order notes it",
    "require-table-schema": "a habit",
    "prefer-repack": "for PostgreSQL 19",
    "unused-ignore": "about Squawk's own comments",
    "syntax-error": "no judgement",
}
"""Rules about style, habits and types, each with the reason why it is no danger to a running system."""

COMPATIBILITY: Mapping[str, str] = {
    "ban-drop-constraint": "short, and the way out of a wrong constraint: drop_constraint warns",
    "ban-drop-default": "short; only inserts that leave the column out change",
    "ban-drop-view": "drop_view warns",
    "ban-drop-sequence": "drop_view warns",
    "ban-drop-function": "drop_object warns; with CASCADE drop_cascade refuses",
    "ban-drop-type": "drop_object warns; with CASCADE drop_cascade refuses",
    "ban-drop-domain": "drop_object warns; with CASCADE drop_cascade refuses",
    "ban-alter-identity": "short; changes how new rows are numbered",
    "renaming-object": "types, schemas and views are refused; nothing calls an index or a constraint by name",
}
"""Rules that 2.70 added on what other code may rely on: counted apart, since no lock and no rewrite is behind them."""


OURS_ALONE: Mapping[str, str] = {
    "truncate": "every row is gone and the lock is the strongest; Squawk objects to CASCADE only",
    "unbounded_write": "every row is locked and written in one transaction",
    "vacuum_full": "a rewrite under AccessExclusiveLock",
    "cluster": "a rewrite under AccessExclusiveLock",
    "refresh_without_concurrently": "readers of the view wait",
    "set_tablespace": "a copy under AccessExclusiveLock",
    "set_access_method": "a rewrite under AccessExclusiveLock",
    "change_of_logging": "a rewrite under AccessExclusiveLock",
    "lock_table": "a lock for its own sake",
    "row_security": "rows vanish for other roles",
    "disable_trigger": "foreign keys go unchecked",
    "alter_system": "the whole server changes",
    "server_file": "COPY reaches the server's files or programs",
    "dangerous_call": "sleeps, kills or changes the server",
    "drop_role": "a login is gone",
    "concurrent_index_corruption": "14.0 to 14.3 build corrupt indexes",
    "set_expression": "a rewrite under AccessExclusiveLock",
    "not_understood": "statements that hide others: DO, CALL, EXECUTE",
}
"""Our rules for dangers Squawk has no rule for, each with the danger."""


class NoSquawk(Exception):
    """Squawk is not installed, or did not answer."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is missed is a danger to Squawk that we allow; besides are those we refuse and Squawk has no danger in.

    alone is how many of the latter only rules of OURS_ALONE refuse.
    """

    version: str
    scripts: int
    dangerous: int
    missed: tuple[tuple[str, tuple[str, ...]], ...]
    besides: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / self.dangerous

    @property
    def false_alarms(self) -> float:
        return len(self.besides) / (self.scripts - self.dangerous)

    @property
    def alone(self) -> int:
        return sum(OURS_ALONE.keys() >= set(rules) for _script, rules in self.besides)


def corpus() -> tuple[str, ...]:
    """One script a line; lines that begin with -- are headings."""
    lines = CORPUS.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("--"))


def find_squawk() -> Path:
    """Beside this Python, else on PATH.

    Raises:
        NoSquawk: in neither place.
    """
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.exists() else shutil.which("squawk")
    if found is None:
        raise NoSquawk("squawk is not installed: pip install squawk-cli, or put it on PATH")
    return Path(found)


def opinions(program: Path, scripts: Sequence[str]) -> tuple[frozenset[str], ...]:
    """The names of the rules that object to each script.

    Raises:
        NoSquawk: it fails, or answers something else than its JSON.
    """
    found: list[set[str]] = [set() for _ in scripts]
    with tempfile.TemporaryDirectory() as place:
        for number, script in enumerate(scripts):
            (Path(place) / f"{number}.sql").write_text(script + "\n", encoding="utf-8")
        command = [str(program), "--reporter", "json", *map(str, sorted(Path(place).iterdir()))]
        answer = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S, cwd=place)
    try:
        for finding in json.loads(answer.stdout):
            found[int(Path(finding["file"]).stem)].add(str(finding["rule_name"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NoSquawk(f"squawk gave no answer to read: {answer.stderr.decode(errors='replace')[:200]}") from error
    return tuple(frozenset(rules) for rules in found)


def compare(scripts: Sequence[str]) -> Comparison:
    """Raises NoSquawk where it is missing."""
    program = find_squawk()
    version = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=_TIMEOUT_S).stdout
    dangerous, missed, besides = 0, [], []
    for script, rules in zip(scripts, opinions(program, scripts), strict=True):
        dangers = rules - NO_DANGER.keys() - COMPATIBILITY.keys()
        report = check(script)
        dangerous += bool(dangers)
        if dangers and report.verdict == "allow":
            missed.append((script, tuple(sorted(dangers))))
        elif not dangers and report.verdict == "refuse":
            refusing = (finding.rule for finding in report.findings if finding.level == "refuse")
            besides.append((script, tuple(dict.fromkeys(refusing))))
    return Comparison(version.decode().strip(), len(scripts), dangerous, tuple(missed), tuple(besides))
