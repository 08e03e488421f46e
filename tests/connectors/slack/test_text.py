from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from connectors.slack.text import code_block, date, escape, group_mention, inert, line, lines, link, mention
from tests.connectors.slack.examples import HOSTILE


def test_the_three_characters_are_escaped_in_the_order_slack_asks_for() -> None:
    assert escape("a & <b>") == "a &amp; &lt;b&gt;"
    assert escape("&lt;") == "&amp;lt;"


@given(st.text(), st.integers(40, 400))
def test_a_line_is_one_line_within_its_limit_and_shows_nothing_hidden(text: str, limit: int) -> None:
    shown = line(text, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for one in shown)
    assert "<" not in shown
    assert ">" not in shown


@given(st.text(alphabet="&<>", min_size=1, max_size=500), st.integers(40, 200))
def test_no_entity_is_cut_in_half(text: str, limit: int) -> None:
    shown = line(text, limit).partition("…")[0]
    assert shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "") == ""


def test_what_is_cut_says_how_much_there_was() -> None:
    assert line("x" * 1000, 100).endswith("… [cut, 1,000 characters in all]")
    assert lines("x\n" * 2000, 100).endswith("… [cut, 4,000 characters in all]")


def test_an_inert_name_carries_no_mark() -> None:
    assert inert("*b* _i_ ~s~ `c`") == "\u2217b\u2217 \uff3fi\uff3f \u223cs\u223c 'c'"
    assert inert("order_items") == "order_items"


@given(st.text())
def test_nothing_gets_out_of_a_code_block(text: str) -> None:
    fenced, _ = code_block(text, 500)
    inside = fenced.removeprefix("```").removesuffix("```")
    assert "```" not in inside
    assert not inside.startswith("`")
    assert "<" not in inside


def test_a_code_block_says_whether_it_shows_everything_exactly() -> None:
    assert code_block("SELECT 1 < 2;\n-- fine", 100)[1]
    assert not code_block("x" * 101, 100)[1]
    assert not code_block("&" * 30, 100)[1], "escaped it is longer than the limit"
    assert not code_block("a \u202e b", 100)[1]
    assert not code_block("a ``` b", 100)[1]
    assert not code_block(HOSTILE, 3000)[1]


def test_only_what_looks_like_an_id_becomes_a_mention() -> None:
    assert mention("U0ADA", "ada") == "<@U0ADA>"
    assert mention("U0ADA> <!channel", "ada") == "ada"
    assert mention(None, "<!channel>") == "&lt;!channel&gt;"
    assert group_mention("S0OPS") == "<!subteam^S0OPS>"
    assert group_mention("S0|x") == ""


def test_a_link_goes_to_a_page_of_ours_or_is_no_link() -> None:
    assert link("https://stanch.example/i/INC-1", "INC|1") == "<https://stanch.example/i/INC-1|INC¦1>"
    assert link("javascript:alert(1)", "x") == "x"
    assert link("https://a.example/><!channel>", "x") == "x"


def test_a_date_is_in_the_readers_zone_and_in_utc_elsewhere() -> None:
    assert date(datetime(2024, 7, 2, 12, 15, 12, tzinfo=UTC)) == "<!date^1719922512^{time_secs}|12:15:12 UTC>"
