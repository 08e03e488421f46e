"""Going round in circles, recognised: the same call with the same result, calls that undo each other, no news.

A loop ends the run, not only the tool: a blocked tool alone leaves an agent going for hours. Every rule is counted over
Working.calls, so it holds through a crash and over the looks that people ask for.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from agent.brain.entropy import entropy
from agent.incident import Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.incident import Answered, Working
    from agent.runbook.skill import Check, Skill

SAME_BARS: Final = 3
"""So many times the same call with the same result, and it is not made again."""
SAME_ENDS: Final = 5
"""And so many, those that were held back among them, end the run."""
IDENTICAL_ENDS: Final = 6
"""So many times the same call whatever it says, unless it is declared as polling."""
ROUNDS_ENDS: Final = 3
"""A, B, A, B so many times over."""
NEWS_CHECKS: Final = 4
NEWS_BITS: Final = 0.01
"""So many telling answers in a row that left the entropy of the beliefs where it was, within so many bits."""
WINDOW_S: Final = 1800.0
"""Older calls do not count: after half an hour the world may well be another one."""
CALLS_KEPT: Final = 80

POLLING: Final = frozenset({"verify"})
"""Tools that are meant to ask the same again until something changes."""

_VOLATILE = re.compile(r"(^|_)(s|ms|us|at|age|time|times|seconds|pid|pids|since|start|started|now|sha256|digest|id)$")
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Replan:
    """The call is not made again; whoever chooses must choose something else."""

    barred: str
    why: str


@dataclass(frozen=True, slots=True)
class End:
    """The run is over and a human is asked."""

    why: str


Verdict = Replan | End | None


def canonical(args: Mapping[str, Any]) -> str:
    """The same text for the same arguments, in whatever order they came."""
    return json.dumps(dict(args), sort_keys=True, separators=(",", ":"), default=str)


def result_hash(status: str, data: Any) -> str:
    """Of what a call said: words and orders of magnitude. Ages, times, process ids and ids are left out."""
    return _hash(status + json.dumps(_steady(data), sort_keys=True, default=str))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _steady(data: Any) -> Any:
    match data:
        case bool() | None:
            return data
        case int() | float():
            return _magnitude(float(data))
        case dict():
            return {str(name): _steady(value) for name, value in data.items() if not _VOLATILE.search(str(name))}
        case list() | tuple():
            return [_steady(value) for value in data[:_ITEMS]]
        case _:
            return str(data)


def _magnitude(number: float) -> str:
    if not math.isfinite(number):
        return str(number)
    return "0" if number == 0 else f"{'-' if number < 0 else ''}e{math.floor(math.log10(abs(number)))}"


def result_of(answer: Answered) -> str:
    """The answer's own hash, else one of its status and its sentence without the figures."""
    return answer.result or _hash(answer.status + _FIGURE.sub("#", answer.summary))


def question(check: Check) -> str:
    """What a check asks, whichever name a skill gives it."""
    return f"{check.tool}:{check.query}"


def checked(skill: Skill, working: Working, name: str, at_s: float) -> Working:
    """With the call that a newly answered check was. working: the answer and the beliefs after it are in."""
    return made(working, call_of(skill, name, working.answered[name], working.beliefs, working.look, at_s))


def call_of(skill: Skill, name: str, answer: Answered, beliefs: Mapping[str, float], look: int, at_s: float) -> Call:
    """The call that a check was. beliefs: after its answer."""
    check = skill.checks.get(name)
    tool, args = (check.tool, check.query) if check is not None else ("check", name)
    telling = check is not None and not check.gathers and answer.status in {"yes", "no"}
    bits = round(entropy(beliefs), 6) if telling else None
    return Call(tool, args, result_of(answer), look, at_s, bits)


def made(working: Working, call: Call) -> Working:
    return replace(working, calls=with_call(working.calls, call))


def with_call(calls: tuple[Call, ...], call: Call) -> tuple[Call, ...]:
    """The newest last; the oldest is forgotten when there are too many."""
    return (*calls, call)[-CALLS_KEPT:]


def judged(calls: Sequence[Call]) -> Verdict:
    """What the newest call means in the light of those before it."""
    if not calls:
        return None
    last = calls[-1]
    # Every rule needs the newest call to have been made so often: most are made once, and that is seen at once.
    if sum([call.args == last.args and call.tool == last.tool for call in calls]) < min(SAME_BARS, ROUNDS_ENDS):
        return None
    recent = [call for call in calls if last.at_s - call.at_s <= WINDOW_S]
    identical = [call for call in recent if call.asked == last.asked]
    same = sum(1 for call in identical if call.result == last.result)
    if same >= SAME_ENDS:
        return End(f"{last.asked} came to the same end {same} times: this goes round in circles")
    if len(identical) >= IDENTICAL_ENDS and last.tool not in POLLING:
        return End(f"{last.asked} was tried {len(identical)} times and nothing came of it")
    if _ping_pong([call.asked for call in recent if call.look == last.look]):
        return End(f"{recent[-2].asked} and {last.asked} undid each other {ROUNDS_ENDS} times")
    if same >= SAME_BARS and last.tool not in POLLING:
        return Replan(last.asked, f"{last.asked} came to the same end {same} times and is not tried again for now")
    return None


def _ping_pong(asked: Sequence[str]) -> bool:
    tail = asked[-2 * ROUNDS_ENDS :]
    return len(tail) == 2 * ROUNDS_ENDS and tail[0] != tail[1] and all(
        one == tail[position % 2] for position, one in enumerate(tail)
    )  # fmt: skip


def still_barred(calls: Sequence[Call], now_s: float) -> tuple[str, ...]:
    """What came to the same end so often, and not too long ago, that it is not tried again."""
    counted: dict[tuple[str, str], int] = {}
    for call in calls:
        if now_s - call.at_s <= WINDOW_S and call.tool not in POLLING:
            counted[call.asked, call.result] = counted.get((call.asked, call.result), 0) + 1
    return tuple(sorted({asked for (asked, _), times in counted.items() if times >= SAME_BARS}))


def no_news(skill: Skill, working: Working) -> bool:
    """The last telling answers left the beliefs as undecided as they were."""
    bits = [call.entropy_bits for call in working.calls if call.look == working.look and call.entropy_bits is not None]
    if len(bits) < NEWS_CHECKS:
        return False
    told = [entropy(skill.priors()), *bits][-NEWS_CHECKS - 1 :]
    return max(told) - min(told) < NEWS_BITS
