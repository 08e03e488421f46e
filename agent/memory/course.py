"""The course of an investigation, told again from the store's rows: each check with why it was asked, what it said, and
what that made of the beliefs. The same functions decide here as did then, so the telling is the deciding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent.brain import beliefs as belief
from agent.brain import loops
from agent.brain.choose import Ask, next_move
from agent.database.value import Value
from agent.incident import Answered, Working

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.runbook.skill import Check, Skill


@dataclass(frozen=True, slots=True)
class Row:
    """One evidence row: name of the check, when it was stored (epoch seconds), and its data."""

    id: int
    name: str
    status: str
    summary: str
    sha256: str
    at_s: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn(Value):
    """One check. why: the reason it was asked. evidence None: it could not be made. before, after: beliefs by cause.

    gain_bits: what it was expected to bring, None for one that only collects.
    """

    look: int
    check: str
    question: str
    why: str
    gain_bits: float | None
    cost_s: float
    evidence: int | None
    status: str
    summary: str
    sha256: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(slots=True)
class _Telling:
    skill: Skill
    working: Working
    asked: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    def ask(self) -> None:
        """What the brain asks for now, with the reason and the gain it expects."""
        move = next_move(self.skill, self.working)
        if isinstance(move, Ask):
            for name in move.checks:
                self.asked.setdefault(name, _reason(self.skill, self.working, self.skill.checks[name]))
            self.working = replace(self.working, pending=move.checks)

    def answer(self, row: Row, evidence: int | None) -> None:
        check, before = self.skill.checks[row.name], self.working.beliefs
        why, gain = self.asked.get(row.name) or _reason(self.skill, self.working, check)
        answer = Answered(row.status, row.summary, evidence, loops.result_hash(row.status, row.data))
        answered = {**self.working.answered, row.name: answer}
        self.working = replace(
            self.working,
            answered=answered,
            pending=tuple(name for name in self.working.pending if name != row.name),
            beliefs=belief.posterior(self.skill, answered),
        )
        self.working = loops.checked(self.skill, self.working, row.name, row.at_s)
        self.turns.append(
            Turn(
                self.working.look, row.name, loops.question(check), why, gain, check.cost_s, evidence, row.status,
                row.summary, row.sha256, _rounded(before), _rounded(self.working.beliefs),
            )
        )  # fmt: skip

    def another_look(self, at_s: float) -> None:
        """As decide() begins one: what said the same again and again stands."""
        barred = loops.still_barred(self.working.calls, at_s)
        stands = {
            name: answer
            for name, answer in self.working.answered.items()
            if loops.question(self.skill.checks[name]) in barred
        }
        beliefs = belief.posterior(self.skill, stands) if stands else self.skill.priors()
        self.asked.clear()
        self.working = Working(
            beliefs, stands, look=self.working.look + 1, calls=self.working.calls, barred_calls=barred
        )


def told(skill: Skill, rows: Iterable[Row], working: Working) -> tuple[Turn, ...]:
    """rows: the evidence of its checks, in order. working: as it is now, for checks that could not be made at all."""
    telling = _Telling(skill, Working(beliefs=skill.priors()))
    for row in rows:
        if row.name not in skill.checks:
            continue
        if row.name in telling.working.answered:
            telling.another_look(row.at_s)
        if not telling.working.pending:
            telling.ask()
        telling.answer(row, row.id)
    for name, answer in working.answered.items():
        if answer.evidence is None and name in skill.checks and name not in telling.working.answered:
            telling.answer(Row(0, name, answer.status, answer.summary, "", 0.0, {}), None)
    return tuple(telling.turns)


def _reason(skill: Skill, working: Working, check: Check) -> tuple[str, float | None]:
    gain = None if check.gathers else round(belief.expected_gain(skill, check.id, working.beliefs), 4)
    if not working.answered:
        return "the skill begins with it", gain
    leader = max(working.beliefs, key=lambda cause: working.beliefs[cause])
    if working.beliefs[leader] < skill.stop.posterior:
        return "most expected bits for its seconds" if gain is not None else "others read what it collects", gain
    remedy = skill.remedy(leader)
    if remedy is not None and check.id in _wanted_for(skill, remedy.params_from):
        return f"the fix for {leader} takes its parameters from it", gain
    return f"it could speak against {leader}", gain


def _wanted_for(skill: Skill, name: str) -> set[str]:
    wanted, waiting = {name}, [name]
    while waiting:
        needs = set(skill.checks[waiting.pop()].needs) - wanted
        wanted |= needs
        waiting += sorted(needs)
    return wanted


def _rounded(beliefs: Mapping[str, float]) -> dict[str, float]:
    return {cause: round(p, 4) for cause, p in sorted(beliefs.items(), key=lambda one: (-one[1], one[0]))}


def found_by(skill: Skill, turns: Sequence[Turn], cause: str) -> tuple[str, ...]:
    """Questions of the last look whose yes spoke for the cause: for it at least as much as for any other."""
    last = max((turn.look for turn in turns), default=1)
    told_: list[str] = []
    for turn in turns:
        check = skill.checks.get(turn.check)
        if check is None or check.gathers or turn.status != "yes" or turn.look != last or cause not in check.yes_given:
            continue
        if check.yes_given[cause] >= max(check.yes_given.values()) and turn.question not in told_:
            told_.append(turn.question)
    return tuple(told_)
