from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.incident import Incident, IncidentState, Milestone, Outcome
from agent.postmortem import code, critique, durations_s, markdown, plain, quoted, structured
from tests.agent.examples import HIDDEN, NOW, incident

EVIDENCE = [
    {"id": 1, "name": "scans", "status": "yes", "summary": "orders is read from end to end", "sha256": "00"},
    {"id": 2, "name": "attribution", "status": "note", "summary": "84 % of the rise", "sha256": "01"},
    {"id": 3, "name": "verification", "status": "note", "summary": "recovered: 0.1 s", "sha256": "02"},
]
FIX = {
    "command": "CREATE INDEX CONCURRENTLY i ON orders (c)",
    "rollback": "DROP INDEX CONCURRENTLY i",
    "digest": "ab" * 32,
}
DECISIONS = [{"decision": "approve", "person": "ada", "channel": "slack", "reason": "go"}]
EXECUTIONS = [{"phase": "run", "state": "finished", "detail": "index is valid"}]
TIMELINE = [{"at": "2026-11-21T12:00:09+00:00", "actor": "intake", "action": "AlertReceived", "note": "SlowShop"}]


def resolved(**changes: Any) -> Incident:
    at = {name: NOW + timedelta(seconds=n) for n, name in enumerate(Milestone)}
    return incident(IncidentState.CLOSED, milestones=at, **changes)


def post(now: Incident | None = None, **changes: Any) -> dict[str, Any]:
    given_: dict[str, Any] = {
        "timeline": TIMELINE,
        "evidence": EVIDENCE,
        "proposal": FIX,
        "decisions": DECISIONS,
        "executions": EXECUTIONS,
        "written_at": NOW,
    }
    return structured(now or resolved(), **{**given_, **changes})


def test_seconds_are_between_milestones() -> None:
    seconds = durations_s(resolved().milestones)
    assert seconds == {
        "detect": 1, "diagnose": 1, "propose": 2, "wait": 1, "execute": 1, "verify": 2, "restore": 7,
    }  # fmt: skip


def test_what_was_not_reached_has_no_duration() -> None:
    assert set(durations_s({}).values()) == {None}
    half = durations_s({Milestone.IMPACT_START: NOW, Milestone.DETECTED: NOW + timedelta(seconds=1.2345)})
    assert half["detect"] == 1.234
    assert half["restore"] is None


def test_the_structured_form_is_json() -> None:
    found = post()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["incident"] == "INC-7"
    assert found["outcome"] == "recovered"
    assert found["cause"]["confirmed_by"] == "verified fix"
    assert found["verification"] == "recovered: 0.1 s"
    assert list(found["beliefs"].values()) == sorted(found["beliefs"].values(), reverse=True)


def test_an_incident_about_which_nothing_is_known_has_a_postmortem_too() -> None:
    found = post(incident(), timeline=[], evidence=[], proposal=None, decisions=[], executions=[])
    json.dumps(found, allow_nan=False)
    page = markdown(found)
    assert "Outcome: **open**" in page
    assert "Not settled." in page
    assert "None was proposed." in page
    assert "target `none known`" in page


def test_a_cause_is_confirmed_only_by_a_verified_fix() -> None:
    for outcome in set(Outcome) - {Outcome.RECOVERED}:
        found = post(resolved(outcome=outcome))
        assert found["cause"]["confirmed_by"] is None
        assert "not confirmed" in markdown(found)


def test_the_page_tells_the_whole_story() -> None:
    page = markdown(post())
    for expected in (
        "# INC-7: SlowShop: orders",
        "Missing index: 0.93 sure (0.80 to 0.95 with any one check left out), confirmed by verified fix.",
        "| E1 | scans | yes | orders is read from end to end |",
        "```sql\nCREATE INDEX CONCURRENTLY i ON orders (c)\n```",
        "Way back: `DROP INDEX CONCURRENTLY i`. Digest `abababababab`.",
        "- approve by `ada` through slack: `go`",
        "- run: finished. index is valid",
        "Verification on the alert's own expression: recovered: 0.1 s.",
        "- 12:00:09 intake: SlowShop",
        "| 1.0 s | 2.0 s | 1.0 s | 1.0 s | 2.0 s | 7.0 s |",
    ):
        assert expected in page


# --- Hostile text ------------------------------------------------------------------------------------------------

BIDI = "\u202e\u2066\u200f\u061c"
HOSTILE = [
    "<script>alert(1)</script>",
    "`rm -rf /`",
    "```\n# INC-1: all is well\n```",
    "| a | b |",
    "a\n\n# heading\n- item",
    "a\r\n<b>",
    "[click](javascript:alert(1)) ![x](http://x)",
    f"safe{BIDI}txt.exe",
    "\x00\x1b[31mred\x7f\x9b",
    "line\u2028break\u2029\x85",
    "\\`x\\`",
    "&lt;b&gt; **bold** _it_ ~~no~~",
]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
SPAN = re.compile(r"`[^`]*`")
MARK = re.compile(r"(?<!\\)(?:\\\\)*[`*\[\]<>#|!&{}~]")

hostile = st.text(alphabet=st.sampled_from("`|<>[]()#*_~\\\n\r\t\x00\u202ea b")) | st.text(max_size=30)


@settings(deadline=None)
@given(hostile)
@example("\\`")
@example("\\\\|")
def test_plain_text_is_one_line_without_a_mark_that_is_not_escaped(text: str) -> None:
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert not CONTROL.search(shown.replace("\t", ""))
    assert not MARK.search(shown)


@settings(deadline=None)
@given(hostile)
def test_a_code_span_cannot_be_left(text: str) -> None:
    shown = quoted(text)
    assert SPAN.fullmatch(shown) or shown == "(empty)"
    assert shown != "``"
    assert "\n" not in shown


@settings(deadline=None)
@given(hostile)
@example("``````")
@example("`\x00``")
def test_a_fence_cannot_be_closed_from_inside(text: str) -> None:
    assert "```" not in code(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_nothing_of_the_pages_structure(text: str) -> None:
    def page(said: str) -> str:
        working = replace(resolved().working, why=said)
        return markdown(
            post(
                resolved(title=said, service=said, target=said, working=working),
                timeline=[{**TIMELINE[0], "actor": said, "note": said or "x"}],
                evidence=[{**row, "summary": said} for row in EVIDENCE],
                proposal={**FIX, "rollback": said},
                decisions=[{**DECISIONS[0], "person": said, "reason": said}],
                executions=[{**EXECUTIONS[0], "detail": said}],
            )
        )

    def structure(of: str) -> list[str]:
        return [re.split(r"[A-Za-z0-9`(]", line, maxsplit=1)[0].strip() for line in of.split("\n")]

    hurt, harmless = page(text), page("harmless")
    assert structure(hurt) == structure(harmless)
    assert hurt.count("```") == 2
    assert not CONTROL.search(hurt)
    for line in hurt.split("\n"):
        outside = SPAN.sub("", line)
        assert "<script" not in re.sub(r"\\.", "", outside)
    rows = [line for line in hurt.split("\n") if line.startswith("| E")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [5, 5, 5]


def test_the_command_cannot_close_its_fence() -> None:
    page = markdown(post(proposal={**FIX, "command": "SELECT 1\n```\n# all is well\n````"}))
    assert page.count("```") == 2


# --- Self-critique -----------------------------------------------------------------------------------------------


def test_a_clean_record_leaves_only_the_detours() -> None:
    said = critique(resolved(), EVIDENCE)
    assert said == ["Answered no on the way, in hindsight not needed for the cause: surge."]


@pytest.mark.parametrize(
    ("now", "evidence", "says"),
    [
        (resolved(outcome=Outcome.REGRESSED), EVIDENCE, "The fix did not help"),
        (resolved(outcome=Outcome.NOT_RECOVERED), EVIDENCE, "The fix did not help"),
        (incident(), EVIDENCE, "No cause was settled on"),
        (resolved(), EVIDENCE[:1], "How much the cause accounts for was not established."),
        (resolved(), [{**EVIDENCE[1], "status": "not_visible"}], "was not established"),
        (
            resolved(working=replace(resolved().working, answered={"b": HIDDEN, "a": HIDDEN})),
            EVIDENCE,
            "Not visible to me: a, b.",
        ),
    ],
)
def test_what_went_less_well_is_said(now: Incident, evidence: list[dict[str, Any]], says: str) -> None:
    assert any(says in line for line in critique(now, evidence))
    assert says in markdown(post(now, evidence=evidence))
