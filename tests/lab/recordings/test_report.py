from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from agent.replay.case import Said
from connectors.runbooks import skills
from lab.bench.incidents import measured
from lab.recordings.chart import Bar, Mark, bars, line
from lab.recordings.report import page
from tests.lab.recordings.examples import recording

HOSTILE = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 the base class's interface
        self.seen.append(tag)


def test_hostile_text_stays_text() -> None:
    one = recording("missing-index-001")
    alert = replace(one.alert, labels={**one.alert.labels, "alertname": HOSTILE})
    answers = {asked: tuple(Said(x.status, HOSTILE, x.data, 0.1) for x in said) for asked, said in one.answers.items()}
    bad = [replace(one, fault=HOSTILE, alert=alert, answers=answers)]
    rows = list(measured(bad, skills(), cases=1, seed=0, full=False))

    tags = Tags()
    tags.feed(page(bad, rows, skills()))

    assert "script" not in tags.seen
    assert "svg" in tags.seen


def test_a_learning_run_is_drawn_only_where_there_was_one() -> None:
    found = [recording("missing-index-001"), recording("missing-index-002")]
    rows = list(measured(found, skills(), cases=1, seed=0, full=False))

    assert "<h2>Learning</h2>" not in page(found, rows, skills())


def test_a_bar_ends_at_the_most_there_is() -> None:
    drawn = bars("t", [Bar("a", 2.0, "two", 1.0, 9.0), Bar("b", None, "none")], 1.0)

    assert 'width="410.0"' in drawn
    assert drawn.count("<rect") == 1


def test_a_gap_in_a_line_stays_a_gap() -> None:
    drawn = line("t", [(0, 1.0), (1, None), (2, 3.0), (3, 2.0)], [Mark(1, "alert")], limit=2.5)

    assert drawn.count("M") >= 4
    assert "alert" in drawn
    assert "no samples" in line("t", [(0.0, None)])
