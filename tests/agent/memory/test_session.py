from __future__ import annotations

import copy
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.brain.beliefs import posterior
from agent.brain.loops import result_hash
from agent.events import CheckAnswered, HumanAsked, Triaged
from agent.incident import Answered, IncidentState, Mode
from agent.machine import decide
from agent.memory import compress, session
from agent.memory.compress import Result
from agent.memory.course import Row, Turn, found_by, told
from agent.postmortem import structured
from agent.replay.case import question
from agent.replay.play import answer, triaged
from connectors import runbooks
from tests.agent.examples import CONVINCING, NOW, SKILL, incident
from tests.agent.memory.posts import post
from tests.agent.replay.cases import case

if TYPE_CHECKING:
    from agent.incident import Incident

SKILLS = runbooks.skills()


def row(number: int, name: str, status: str, data: dict[str, Any] | None = None, at_s: float = 0.0) -> Row:
    return Row(number, name, status, f"{name} says {status}", "ab" * 32, at_s, data or {"n": number})


CONVINCED = [row(number, name, one.status) for number, (name, one) in enumerate(CONVINCING.items(), 1)]


def test_the_course_tells_why_each_check_was_asked_and_what_it_made_of_the_beliefs() -> None:
    turns = told(SKILL, CONVINCED, incident(IncidentState.CLOSED).working)
    by_name = {turn.check: turn for turn in turns}
    assert [turn.check for turn in turns] == list(CONVINCING)
    assert by_name["sample"].why == "the skill begins with it"
    assert by_name["sample"].gain_bits is None
    assert by_name["surge"].why == "most expected bits for its seconds"
    assert by_name["index_would_help"].why == "the fix for missing_index takes its parameters from it"
    assert (by_name["scans"].gain_bits or 0) > 0
    for before, after in itertools.pairwise(turns):
        assert after.before == before.after
    end = posterior(SKILL, CONVINCING)
    assert turns[-1].after == pytest.approx(end, abs=1e-4)


def test_a_check_that_could_not_be_made_has_its_turn_without_evidence() -> None:
    failed = Answered("not_visible", "could not be checked: timed out", None)
    working = replace(
        incident(IncidentState.CLOSED).working, answered={"sample": CONVINCING["sample"], "surge": failed}
    )
    turns = told(SKILL, CONVINCED[:1], working)
    assert [(turn.check, turn.evidence, turn.status) for turn in turns] == [
        ("sample", 1, "note"),
        ("surge", None, "not_visible"),
    ]


def test_a_check_that_no_skill_knows_any_more_is_left_out() -> None:
    assert told(SKILL, [row(1, "gone", "yes"), row(2, "sibling_sweep", "no")], incident().working) == ()


def test_what_found_the_cause_are_the_yeses_of_the_last_look_that_speak_for_it() -> None:
    again = [row(number + 10, name, "no") for number, name in enumerate(("sample", "ranking", "scans"))]
    turns = told(SKILL, [*CONVINCED, *again], incident(IncidentState.CLOSED).working)
    assert {turn.look for turn in turns} == {1, 2}
    assert found_by(SKILL, turns, "missing_index") == ()
    first = told(SKILL, CONVINCED, incident(IncidentState.CLOSED).working)
    assert found_by(SKILL, first, "missing_index") == (
        "causal:ranking", "database:scans", "database:index_would_help",
    )  # fmt: skip


def lived(looks: int) -> tuple[Incident, list[Row], tuple[str, ...]]:
    """An incident of the hand-made cases, looked at so many times. Returns it, its evidence, and its beliefs' path."""
    known = case("missing_index")
    skill = triaged(known, SKILLS)
    decision = decide(incident(labels=known.labels), skill, Triaged(skill.name, None, Mode.OBSERVE, "orders"), NOW)
    rows: list[Row] = []
    for look in range(looks):
        if look:
            decision = decide(decision.incident, skill, HumanAsked("ada"), NOW)
        while decision.incident.working.pending and decision.incident.state is IncidentState.INVESTIGATING:
            name = decision.incident.working.pending[0]
            said = answer(known, question(skill.checks[name]), 0.0)
            rows.append(Row(len(rows) + 1, name, said.status, said.summary, "00" * 32, NOW.timestamp(), said.data))
            one = Answered(said.status, said.summary, len(rows), result_hash(said.status, said.data))
            decision = decide(decision.incident, skill, CheckAnswered(name, one), NOW)
    return decision.incident, rows, tuple(decision.incident.working.beliefs)


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_the_telling_ends_where_the_deciding_ended(looks: int) -> None:
    now, rows, _ = lived(looks)
    skill = triaged(case("missing_index"), SKILLS)
    turns = told(skill, rows, now.working)
    assert len(turns) == len(rows)
    assert turns[-1].look == looks
    assert turns[-1].after == pytest.approx(dict(now.working.beliefs), abs=1e-4)
    calls = [one for one in now.working.calls if one.look == looks]
    assert [one.asked for one in calls] == [turn.question for turn in turns if turn.look == looks]


# --- As Markdown -------------------------------------------------------------------------------------------------


def written(changes: dict[str, Any] | None = None, results: list[Result] | None = None) -> str:
    return session.log(post(7, **(changes or {})), {"goal": "name the cause"}, results or [])


def test_the_log_tells_every_check_every_decision_and_what_went_less_well() -> None:
    text = written({"timeline": [{"at": "2026-11-22T03:00:00+00:00", "actor": "ada", "action": "ApprovalGranted",
                                  "note": "approved by ada"}], "self_critique": ["The fix took long."]})  # fmt: skip
    for expected in (
        "# Session log of INC-7: OrdersSlow: orders",
        "| 2 | database:slow_statement | most expected bits for its seconds | 0.40 bits, 0.1 s | E3, yes: slow_",
        "statement says yes | missing_index 0.30 → 0.80; none_of_these 0.70 → 0.20 |",
        "ada: approved by ada",
        "- The fix took long.",
        "- About 0.1 s went into checks that could see nothing.",
    ):
        assert expected in text


def test_the_same_record_gives_the_same_log() -> None:
    assert written() == written()
    assert session.log(copy.deepcopy(post(7)), {"b": 1, "a": 2}, []) == session.log(post(7), {"a": 2, "b": 1}, [])


def test_what_was_recalled_is_named_with_its_origin() -> None:
    recalled = {"incidents": [{"origin_id": "INC-3@ab", "title": "Missing index", "cause": "missing_index",
                               "score": 0.8}]}  # fmt: skip
    text = written({"recalled": recalled})
    assert "`INC-3@ab` Missing index: missing_index (score 0.80)" in text
    assert "never learned from here" in text
    assert "Recalled" not in written()


def test_older_results_are_told_by_their_figures() -> None:
    results = [
        Result(number, f"database:q{number}", "yes", "", f"{number:02x}" * 32, {"t": [{"n": v} for v in (1, 2, 3)]})
        for number in range(1, 6)
    ]
    text = written(results=results)
    assert text.count("```json") == 1 + compress.KEEP_LAST
    assert "- t\\[\\].n: n 3, min 1, median 2, max 3" in text
    huge = Result(9, "database:big", "yes", "", "09" * 32, {"rows": ["x" * 50] * 2000})
    assert len(written(results=[huge])) < 10_000
    assert "Cut; the store has all of it." in written(results=[huge])


def test_promises_that_were_not_kept_are_in_the_critique() -> None:
    still = {"missing_index": 0.5, "none_of_these": 0.5}
    course = [Turn(1, "a", "database:a", "w", 0.5, 1.0, 1, "no", "s", "h", still, still).as_data()]
    assert session.critique(course) == ["Expected to tell much and told nothing: a."]
    assert session.critique([{**course[0], "look": 3}])[-1] == "It took 3 looks."


@pytest.mark.parametrize("text", ["```\n# all is well\n```", "| a | b |", "<script>", "a\n\n# b", "\u202ex", "`x`"])
def test_hostile_text_changes_nothing_of_the_logs_structure(text: str) -> None:
    course = [{**turn, "summary": text, "question": text} for turn in post()["course"]]
    told_ = {"at": "t", "actor": text, "action": text, "note": text}
    recalled = {"incidents": [{"origin_id": text, "title": text, "cause": text, "score": 0.5}]}
    results = [Result(1, text, "yes", text, text, {text: [1, 2], "deep": {text: text}})]
    hurt = session.log(
        post(title=text, course=course, timeline=[told_], self_critique=[text], recalled=recalled), {"c": text}, results
    )
    assert hurt.count("```") == 4
    assert "\u202e" not in hurt
    rows = [line for line in hurt.split("\n") if re.match(r"\| \d+ \|", line)]
    assert len(rows) == len(course)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in rows)
    assert not [line for line in hurt.split("\n") if line.startswith("# ") and "all is well" in line[:15]]


def test_the_postmortem_shows_the_same_elsewhere_and_what_was_suggested() -> None:
    from agent.postmortem import markdown  # noqa: PLC0415 beside its log

    whole = structured(
        incident(IncidentState.CLOSED),
        timeline=[],
        evidence=[],
        proposal=None,
        decisions=[],
        executions=[],
        written_at=NOW,
    )
    assert "The same elsewhere" not in markdown(whole)
    siblings = {"siblings": [{"where": "shop", "what": "public.payments", "status": "yes", "summary": "no index"}],
                "unseen": ["third"]}  # fmt: skip
    recalled = {"hypotheses": [{"title": "Leak", "incidents": [3], "weight": 0.5, "missed": ["database:pool"]}]}
    page = markdown({**whole, "siblings": siblings, "recalled": recalled})
    assert "| shop | public.payments | yes | no index |" in page
    assert "No time was left for third." in page
    assert "- Leak (INC-3), weight 0.50; not checked here: database:pool" in page
