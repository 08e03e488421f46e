from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.events import CheckAnswered, ProposalDrafted, Triaged
from agent.incident import Answered, InFlight, Mode, Working
from agent.machine import Decision, decide
from agent.memory.compress import MOST_ANOMALIES, MOST_STATISTICS, Context, Result, compress, contract, figures
from agent.replay.case import question
from agent.replay.play import answer, triaged
from connectors import runbooks
from tests.agent.examples import NOW, SKILL, concluded, incident
from tests.agent.replay.cases import recordings

if TYPE_CHECKING:
    from agent.incident import Incident
    from agent.replay.case import Case
    from agent.runbook.skill import Skill

SKILLS = runbooks.skills()
CASES = [recording.case() for recording in recordings(3)]


def result(data: Any, number: int = 1) -> Result:
    return Result(number, f"database:q{number}", "yes", "it is so", f"{number:02x}" * 32, data)


def restored(now: Incident, skill: Skill, results: list[Result], keep_last: int = 1) -> Incident:
    """The incident as somebody knows it who has read nothing but the compressed context."""
    text = compress(contract(now, skill), now.working.as_data(), results, keep_last=keep_last).text()
    return replace(now, working=Working.from_data(json.loads(text)["state"]))


def same(one: Decision, two: Decision) -> bool:
    first, second = one.incident, two.incident
    return (
        [(s.kind, s.queue, dict(s.args)) for s in one.steps] == [(s.kind, s.queue, dict(s.args)) for s in two.steps]
        and (first.state, first.outcome, one.note) == (second.state, second.outcome, two.note)
        and first.working.beliefs == pytest.approx(second.working.beliefs)
        and (first.working.pending, first.working.in_flight, first.working.approvals)
        == (second.working.pending, second.working.in_flight, second.working.approvals)
    )


def test_there_are_enough_replays() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_next_decision_is_the_same_from_the_compressed_history(case: Case) -> None:
    skill = triaged(case, SKILLS)
    now = incident(labels=case.labels, service=case.service)
    decision = decide(now, skill, Triaged(skill.name, case.target, Mode.ACT, case.service), NOW)
    results: list[Result] = []
    decided = 0
    while decision.incident.working.pending:
        now, name = decision.incident, decision.incident.working.pending[0]
        asked = question(skill.checks[name])
        said = answer(case, asked, 0.0)
        event = CheckAnswered(name, Answered(said.status, said.summary, len(results)))
        decision = decide(now, skill, event, NOW)
        assert same(decide(restored(now, skill, results), skill, event, NOW), decision)
        results.append(Result(len(results), asked, said.status, said.summary, "00" * 32, said.data))
        decided += 1
        if decision.incident.state is not now.state:
            break
    assert decided >= skill.stop.min_checks


def test_what_is_under_way_is_kept_to_the_letter() -> None:
    drafted = decide(concluded(), SKILL, ProposalDrafted("p-1", 2, "CREATE INDEX"), NOW).incident
    assert drafted.working.in_flight == (InFlight("proposal", "p-1"),)
    after = restored(drafted, SKILL, [result({"n": number}, number) for number in range(9)])
    assert after.working == drafted.working


def test_the_last_results_are_whole_and_older_ones_are_their_figures() -> None:
    rows = [{"tables": [{"n": value} for value in (1, 2, 3)], "name": "orders"} for _ in range(5)]
    results = [result(row, number) for number, row in enumerate(rows)]
    context = compress({"goal": "x"}, {"revision": 1}, results, keep_last=2)
    assert [one.data for one in context.last] == rows[3:]
    assert [one.evidence for one in context.older] == [0, 1, 2]
    assert context.older[0].statistics == {"tables[].n": {"n": 3.0, "min": 1.0, "median": 2.0, "max": 3.0}}
    assert context.older[0].sha256 == results[0].sha256
    assert context.evidence == (0, 1, 2, 3, 4)
    assert Context.from_data(json.loads(context.text())) == context


def test_it_is_shorter_and_always_the_same() -> None:
    big = {"rows": [{"calls": number, "query": f"SELECT {number}"} for number in range(2000)]}
    results = [result(big, number) for number in range(6)]
    one = compress({}, {}, results).text()
    assert one == compress({}, {}, list(results)).text()
    assert len(one) < 0.6 * len(json.dumps([row.as_data() for row in results]))
    many = {f"k{number}": {"values": [1, 2, 3, 4, 1000]} for number in range(500)}
    short = figures(result(many))
    assert len(short.statistics) <= MOST_STATISTICS
    assert len(short.anomalies) <= MOST_ANOMALIES


def test_what_stands_out_is_said() -> None:
    seen = figures(result({"t": [{"reads": value, "age": None} for value in (3, 4, 3, 5, 4, 60_000_000)]}))
    assert any("60000000" in line.replace("6e+07", "60000000") for line in seen.anomalies)
    assert any("6 without a value" in line for line in seen.anomalies)
    assert not figures(result({"t": [{"reads": value} for value in (3, 4, 3, 5, 4, 4)]})).anomalies


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5))
def test_anything_that_a_check_may_return_can_be_compressed(data: dict[str, Any]) -> None:
    short = figures(result(data))
    assert short.sha256 == result(data).sha256
    for path in short.statistics:
        assert all(len(part) <= 50 for part in path.split("."))
