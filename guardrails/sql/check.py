"""A text of one or more statements → allow or refuse, with every lock, rewrite and finding."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from guardrails.rules.registry import RULES
from guardrails.rules.rule import Context
from guardrails.sql.lex import Unreadable, lex, statements
from guardrails.sql.lock import MODES, UNKNOWN_RELATIONS, LockTaken, Mode
from guardrails.sql.locks import read, strongest
from guardrails.sql.statement import Operation, Statement, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardrails.rules.rule import Rule
    from guardrails.sql.lex import Token
    from guardrails.verdict import Finding

MAX_STATEMENTS = 2000
_VERSION = re.compile(r"(\d{1,2})(?:\.(\d{1,3}))?", re.ASCII)
_NEWEST_MINOR = 99
_BY_OPERATION: dict[str, list[Rule]] = {}
for _rule in RULES:
    for _name in _rule.on:
        _BY_OPERATION.setdefault(_name, []).append(_rule)
_UNDERSTOOD_AS_NOTHING = LockTaken(UNKNOWN_RELATIONS, Mode.ACCESS_EXCLUSIVE.spelling)

Answer: TypeAlias = Literal["allow", "refuse"]


class UnusableVersion(ValueError):
    """A server version that is no major or major.minor number."""


@dataclass(frozen=True, slots=True)
class Report:
    """locks and rewrites are given on a refusal too; `*` bounds the relations only the catalog knows."""

    verdict: Answer
    findings: tuple[Finding, ...]
    locks: tuple[LockTaken, ...]
    rewrites: tuple[str, ...]


@dataclass(slots=True)
class _Script:
    """What is remembered from one statement to the next."""

    version_num: int | None
    wrapped: bool
    in_transaction: bool
    lock_timeout: bool = False
    new_relations: set[str] = field(default_factory=set)
    earlier: list[Operation] = field(default_factory=list)
    strongly_locked: str = ""
    not_null_checks: dict[tuple[str, str], str] = field(default_factory=dict)
    proven: set[tuple[str, str]] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    locks: list[LockTaken] = field(default_factory=list)
    rewrites: list[str] = field(default_factory=list)


def version_num(text: str) -> int:
    """`15` or `14.2` as server_version_num; a missing minor number counts as the newest.

    Raises:
        UnusableVersion: anything else.
    """
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise UnusableVersion(f"not a server version: {text[:20]!a}; write 15 or 14.2")
    return int(found[1]) * 10000 + int(found[2] or _NEWEST_MINOR)


def check(sql: str, *, version: int | None = None, in_transaction: bool = False) -> Report:
    """Judges a migration as it stands; never raises for what the text holds.

    in_transaction: whoever runs it wraps it in a transaction. version None counts as the newest server.
    """
    script = _Script(version, in_transaction, in_transaction)
    found: tuple[tuple[Token, ...], ...]
    try:
        found = _cut(sql)
    except Unreadable as reason:
        _refuse(script, str(reason))
        found = ()
    for tokens in found:
        _statement(script, tokens)
    if script.in_transaction and not script.wrapped:
        _apply(script, Statement("end", operations=(Operation("unfinished_transaction"),)))
    findings = tuple(dict.fromkeys(script.findings))
    refused = any(finding.level == "refuse" for finding in findings)
    rewrites = tuple(dict.fromkeys(script.rewrites))
    return Report("refuse" if refused else "allow", findings, strongest(script.locks), rewrites)


def _cut(sql: str) -> tuple[tuple[Token, ...], ...]:
    found = statements(lex(sql))
    if not found:
        raise Unreadable("no statement")
    if len(found) > MAX_STATEMENTS:
        raise Unreadable(f"more than {MAX_STATEMENTS} statements")
    return found


def _refuse(script: _Script, reason: str) -> None:
    script.locks.append(_UNDERSTOOD_AS_NOTHING)
    _apply(script, Statement("?", operations=(Operation("not_understood", detail=reason),)))


def _statement(script: _Script, tokens: tuple[Token, ...]) -> None:
    try:
        statement = read(tokens)
    except Unreadable as reason:
        _refuse(script, str(reason))
        return
    locks = [lock for lock in statement.taken() if folded(lock.relation) not in script.new_relations]
    _apply(script, statement, locks)
    script.locks += locks
    script.rewrites += [name for name in statement.rewrites if folded(name) not in script.new_relations]
    script.new_relations.update(folded(name) for name in statement.creates)
    _remember(script, statement, locks)


def _apply(script: _Script, statement: Statement, locks: Sequence[LockTaken] = ()) -> None:
    """The locks are those on relations that were there before."""
    operations = (*statement.operations, *_situation(script, statement, locks))
    if not operations:
        return
    context = Context(
        statement,
        script.version_num,
        script.in_transaction,
        frozenset(script.new_relations | {folded(name) for name in statement.creates}),
        tuple(script.earlier),
        script.lock_timeout,
        frozenset(script.proven),
    )
    for operation in operations:
        for rule in _BY_OPERATION.get(operation.name, ()):
            finding = rule.look(operation, context)
            if finding is not None:
                script.findings.append(finding)


def _situation(script: _Script, statement: Statement, locks: Sequence[LockTaken]) -> Iterator[Operation]:
    """What is dangerous only where the statement stands."""
    if statement.outside_transaction and script.in_transaction:
        yield Operation("outside_transaction", detail=statement.kind.upper())
    if statement.kind == "begin" and script.in_transaction:
        yield Operation("nested_begin", detail="BEGIN")
    if statement.kind in ("commit", "rollback") and not script.in_transaction:
        yield Operation("stray_end", detail=statement.kind.upper())
    strong = next((lock for lock in locks if _is_strong(lock)), None)
    if strong is None:
        return
    yield Operation("strong_lock", strong.relation, detail=strong.mode)
    if script.strongly_locked and folded(strong.relation) != folded(script.strongly_locked):
        yield Operation("second_strong_lock", strong.relation, detail=script.strongly_locked)


def _is_strong(lock: LockTaken) -> bool:
    """A lock that blocks writers, on a relation with a name."""
    return lock.relation != UNKNOWN_RELATIONS and MODES[lock.mode].blocks_writes


def _prove(script: _Script, operation: Operation) -> None:
    """A CHECK (column IS NOT NULL) counts once it was validated, and until it is dropped."""
    constraint = (folded(operation.relation), folded(operation.detail))
    if operation.name == "add_check" and operation.column and operation.detail:
        script.not_null_checks[constraint] = folded(operation.column)
    elif operation.name == "validate_constraint" and constraint in script.not_null_checks:
        script.proven.add((constraint[0], script.not_null_checks[constraint]))
    elif operation.name == "drop_constraint" and constraint in script.not_null_checks:
        script.proven.discard((constraint[0], script.not_null_checks.pop(constraint)))


def _remember(script: _Script, statement: Statement, locks: list[LockTaken]) -> None:
    for operation in statement.operations:
        if operation.name == "set" and operation.detail == "lock_timeout":
            script.lock_timeout = operation.column.strip("'") not in ("0", "default")
        _prove(script, operation)
    if statement.kind == "begin":
        script.in_transaction = True
    elif statement.kind in ("commit", "rollback", "prepare transaction"):
        script.in_transaction = script.wrapped
        script.earlier.clear()
        script.strongly_locked = ""
    if not script.in_transaction:
        return
    script.earlier += statement.operations
    for lock in locks:
        if _is_strong(lock) and not script.strongly_locked:
            script.strongly_locked = lock.relation
