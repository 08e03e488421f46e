from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.pages import chart, figures, overview, text
from service.pages.decision import lock_words
from service.pages.template import STATIC
from service.pages.vendor import PACKAGES, Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def plotted(values: Sequence[float | None], **marks: Any) -> chart.Plot:
    series = {"name": "db|cpu_cores", "times": list(range(len(values))), "values": values}
    found = chart.panel([series], chart.Marks(**marks))
    assert found is not None
    return found.plots[0]


# --- Charts -----------------------------------------------------------------------------------------------------------


@given(st.integers(500, 3000), st.integers(0, 499), st.integers(0, 2**32))
def test_a_spike_stays_however_many_samples_there_are(count: int, where: int, seed: int) -> None:
    noise = Random(seed)  # noqa: S311 samples, not secrets
    values = [noise.uniform(-1e6, 1e6) for _ in range(count)]
    values[where] = 1e9
    kept = chart.reduced(list(enumerate(values)))
    assert (where, 1e9) in kept
    assert len(kept) <= 2 * chart.BUCKETS
    assert kept == sorted(kept)
    assert min(value for _, value in kept if value is not None) == min(values)


def test_a_gap_in_the_samples_is_a_gap_in_the_line() -> None:
    assert plotted([1.0, 2.0, None, 4.0, None]).path.count("M") == 2


def test_a_series_without_any_sample_is_not_drawn() -> None:
    assert chart.panel([{"name": "a|b", "times": [1, 2], "values": [None, None]}], chart.Marks()) is None
    assert chart.panel([], chart.Marks()) is None


def test_the_anomaly_starts_at_the_change_and_the_medians_are_of_its_two_sides() -> None:
    plot = plotted([1.0] * 10 + [9.0] * 11, anomaly_from=10.0)
    assert plot.anomaly_at == 50.0
    assert (plot.before, plot.during) == (1.0, 9.0)


def test_the_threshold_is_within_the_scale_even_when_no_value_comes_near() -> None:
    plot = plotted([0.1, 0.2], threshold=5.0)
    assert plot.threshold_at is not None
    assert 0 <= plot.threshold_at <= 100


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), min_size=1, max_size=40))
@example([5e-324])
def test_whatever_is_measured_is_drawn_within_the_picture(values: list[float | None]) -> None:
    found = chart.panel([{"name": "a", "times": list(range(len(values))), "values": values}], chart.Marks())
    if found is None:
        assert all(value is None for value in values)
        return
    places = [float(y) for y in re.findall(r"[ML]-?[\d.]+ (-?[\d.]+)", found.plots[0].path)]
    assert all(-0.1 <= y <= 100.1 for y in places)


def test_all_charts_of_a_panel_share_one_time_axis() -> None:
    found = chart.panel(
        [{"name": "a|x", "times": [0, 60], "values": [1, 2]}, {"name": "b|y", "times": [30, 120], "values": [1, 2]}],
        chart.Marks(bands=((30.0, 60.0, "run"),)),
    )
    assert found is not None
    assert {(plot.start, plot.end) for plot in found.plots} == {(0, 120)}
    assert found.bands == ((25.0, 25.0, "run"),)
    assert [tick.label for tick in found.ticks] == ["00:00:00", "00:00:30", "00:01:00", "00:01:30", "00:02:00"]


def test_a_unit_comes_from_the_name_and_is_not_guessed() -> None:
    assert chart.unit_of("latency_p99_seconds") == "seconds"
    assert chart.unit_of("errors_per_second") == "per second"
    assert chart.unit_of("pool_waiting") == ""
    assert chart.unit_in("histogram_quantile(0.99, rate(x_seconds_bucket[1m]))") == "seconds"
    assert chart.unit_in("rate(x_seconds_total[1m])") == ""


# --- Time to restore --------------------------------------------------------------------------------------------------


def found(*points: figures.Point, seconds: Sequence[float] = ()) -> figures.Figures:
    """Figures of these points; seconds: further incidents that were restored an hour ago."""
    began = (NOW - timedelta(hours=1)).timestamp()
    more = tuple(figures.Point(9000 + index, began, one, open=False) for index, one in enumerate(seconds))
    every = (*points, *more)
    return figures.Figures(
        asked=figures.Asked(), since=NOW - timedelta(days=30), until=NOW, points=every, cut=False,
        restore=figures.summary([one.seconds for one in every if not one.open]), without={}, stages=(), outcomes={},
        prior_restore=figures.summary([]), prior_outcomes={}, incidents=len(every), unsocial=0, prior_incidents=0,
        deciders=(),
    )  # fmt: skip


def test_below_five_incidents_there_is_no_median_only_dots() -> None:
    few = found(seconds=[60.0] * 4)
    assert (few.restore.median, few.restore.p90, few.restore.mean, few.restore.n) == (None, None, None, 4)
    assert len(overview.restore(few)["dots"]) == 4


def test_open_incidents_are_shown_as_open_and_do_not_move_the_median() -> None:
    still = figures.Point(1, NOW.timestamp() - 5, 5.0, open=True)
    some = found(still, seconds=[60, 120, 180, 240, 300, 360, 420])
    drawn = overview.restore(some)
    assert (some.restore.median, some.restore.n, drawn["open"]) == (240, 7, 1)
    assert [dot.open for dot in drawn["dots"]] == [True] + [False] * 7
    assert some.restore.between == (60, 420)


def test_of_many_incidents_every_one_is_drawn_and_the_open_and_the_slowest_are_links() -> None:
    rng = Random(1)  # noqa: S311 a picture
    still = figures.Point(1, NOW.timestamp() - 5, 5.0, open=True)
    many = found(still, seconds=[rng.lognormvariate(6, 1) for _ in range(2000)])
    drawn = overview.restore(many)
    assert {dot.key for dot in drawn["dots"]} == {"INC-1"} | {dot.key for dot in drawn["slowest"]}
    assert len(drawn["slowest"]) == overview.SLOWEST
    heights = {round((100 - dot.top) * 2) for dot in drawn["slowest"]}
    assert heights
    places = re.findall(r"M(\d+) (\d+)h0", drawn["cloud"])
    assert len(places) == len(set(places))
    assert all(0 <= int(x) <= 1000 and 0 <= int(y) <= 200 for x, y in places)


def test_the_interval_of_the_median_is_the_binomial_one() -> None:
    assert figures.median_interval(list(range(1, 6))) is None
    assert figures.median_interval(list(range(1, 7))) == (1, 6)
    assert figures.median_interval(list(range(1, 21))) == (6, 15)


def test_above_a_thousand_values_the_interval_goes_on_where_the_binomial_one_stops() -> None:
    exact = figures.median_interval(list(range(1, 1001)))
    near = figures.median_interval(list(range(1, 1002)))
    assert exact is not None
    assert near is not None
    assert abs(exact[0] - near[0]) <= 1
    assert abs(exact[1] - near[1]) <= 2


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=50))
def test_every_dot_is_within_the_picture(seconds: list[float]) -> None:
    drawn = overview.restore(found(seconds=seconds))
    assert all(0 <= dot.top <= 100 and 0 <= dot.left <= 100 for dot in drawn["dots"])


def test_the_parts_of_the_bar_fill_it() -> None:
    stages = tuple(figures.Stage(name, 9, 10.0 * index, 1.0, None) for index, name in enumerate(figures.STAGES, 1))
    drawn = overview.stages(replace(found(), stages=stages))
    assert sum(one["width"] for one in drawn) == pytest.approx(100, abs=0.1)
    assert [one["left"] for one in drawn] == sorted(one["left"] for one in drawn)


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_a_histogram_counts_every_time_once_and_a_bound_holds_its_equal(seconds: list[float]) -> None:
    within = [{"stage": "wait", "within": sum(bound >= one for bound in figures.BOUNDS_S), "n": 1, "total": one}
              for one in seconds]  # fmt: skip
    counted = figures.buckets(within).get("wait", ([("+Inf", 0.0)], 0.0))[0]
    assert counted[-1][1] == len(seconds)
    for bound, count in counted[:-1]:
        assert count == sum(one <= float(bound) for one in seconds)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (4.24, "4.2 s"), (59.4, "59 s"), (59.6, "1 min"), (234, "3.9 min"), (975, "16 min"), (3599, "1 h"),
     (90_000, "1 d"), (5_400, "1.5 h"), (None, "not known")],
)  # fmt: skip
def test_a_short_duration_has_one_unit_and_two_digits(seconds: float | None, words: str) -> None:
    assert text.short(seconds) == words


# --- Text -------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=2000))
def test_shown_text_is_short_and_holds_nothing_invisible(given_text: str) -> None:
    shown = text.shown(given_text, 100)
    assert text.visible(shown) == shown
    assert ("[cut, " in shown) >= (len(given_text) > 100)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//evil.example",
     "https://a@evil.example", "http://", "https://ex\u0430mple.com/", "http://[::1", "ftp://x/", "https://x/\u202e",
     "https://x/" + "a" * 3000, "https:\\\\evil.example", ""],
)  # fmt: skip
def test_only_a_plain_web_address_is_a_link(url: str) -> None:
    assert text.link(url) is None


def test_a_plain_web_address_is_kept_as_it_is() -> None:
    assert text.link("https://runbooks.example/a?b=c#d") == "https://runbooks.example/a?b=c#d"


def test_figures_are_short_and_what_is_not_known_says_so() -> None:
    assert [text.number(value) for value in (None, 0, 0.21, 48210.4, 0.00001)] == [
        "not known",
        "0",
        "0.21",
        "48,210",
        "1.0e-05",
    ]
    assert [text.size(value) for value in (None, 812, 61_000_000, 225_000_000_000)] == [
        "not known",
        "812 bytes",
        "58 MB",
        "210 GB",
    ]
    assert [text.span(value) for value in (None, 0.4, 30, 61, 3600, 3 * 86400)] == [
        "not known",
        "0.4 s",
        "30 s",
        "1 min 1 s",
        "1 h",
        "3 d",
    ]
    assert [text.countdown(value) for value in (-1, 341.9, 3661)] == ["00:00", "05:41", "1:01:01"]


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("AccessShareLock", "Reads and writes go on."),
        ("ShareUpdateExclusiveLock", "Reads and writes go on; schema changes, vacuum and another build wait."),
        ("ShareLock", "Reads go on; inserts, updates and deletes wait."),
        ("AccessExclusiveLock", "Reads and writes wait."),
        ("LockOfTheFuture", "Reads and writes wait."),
    ],
)
def test_a_lock_is_said_in_words_and_an_unknown_one_counts_as_the_strongest(spelling: str, words: str) -> None:
    assert lock_words(spelling) == words


# --- What is served ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [kept for files in PACKAGES.values() for kept in files], ids=lambda kept: kept.place)
def test_what_is_vendored_is_what_its_digest_was_written_down_for(kept: Kept) -> None:
    assert hashlib.sha256((STATIC / kept.place).read_bytes()).hexdigest() == kept.sha256


def test_nothing_is_vendored_without_a_digest() -> None:
    there = {str(path.relative_to(STATIC)) for folder in ("fonts", "vendor") for path in (STATIC / folder).iterdir()}
    assert there == {kept.place for files in PACKAGES.values() for kept in files}


def test_the_script_and_the_styles_name_no_other_place() -> None:
    for name in ("pages.css", "first.js", "pages.js", "incident.js"):
        served = (STATIC / name).read_text(encoding="utf-8")
        assert "//fonts" not in served
        assert "http:" not in served.replace("http://www.w3.org/2000/svg", "")
        assert "https:" not in served
        assert "eval(" not in served
        assert "innerHTML" not in served


# --- Colours ----------------------------------------------------------------------------------------------------------

PAIRS = [
    ("ink", "paper"), ("ink", "card"), ("ink", "sunk"), ("soft", "paper"), ("soft", "card"), ("soft", "sunk"),
    ("waiting", "waiting-back"), ("waiting", "card"), ("running", "running-back"), ("running", "card"),
    ("good", "good-back"), ("wrong", "wrong-back"), ("wrong", "card"), ("soft", "waiting-back"), ("card", "ink"),
]  # fmt: skip
GRAPHICS = [("line", "card"), ("line", "anomaly"), ("target", "card"), ("field", "card"), ("waiting-edge", "card")]


def _schemes() -> list[dict[str, str]]:
    """Light and dark: each variable holds both."""
    css = (STATIC / "pages.css").read_text(encoding="utf-8")
    both = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)", css)
    return [{name: light for name, light, _ in both}, {name: dark for name, _, dark in both}]


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(one * 2 for one in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("pair", "least"), [(pair, 4.5) for pair in PAIRS] + [(pair, 3.0) for pair in GRAPHICS], ids=str
)
def test_text_and_graphics_stand_out_enough(pair: tuple[str, str], least: float, scheme: int) -> None:
    """WCAG 2.2 AA, success criteria 1.4.3 and 1.4.11."""
    colours = _schemes()[scheme]
    assert _contrast(colours[pair[0]], colours[pair[1]]) >= least
