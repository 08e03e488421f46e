from __future__ import annotations

import promql_parser as promql
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.expression import Signal, signal_of


@pytest.mark.parametrize(
    ("expr", "signal"),
    [
        ("x > 1", Signal("x", ">", 1)),
        ("1 < x", Signal("x", ">", 1)),
        ("1 >= x", Signal("x", "<=", 1)),
        ("0.5 == x", Signal("x", "==", 0.5)),
        ("0 != x", Signal("x", "!=", 0)),
        ("((x)) > (1)", Signal("x", ">", 1)),
        ("((x > 1))", Signal("x", ">", 1)),
        ("x > -1", Signal("x", ">", -1)),
        ("x > +1", Signal("x", ">", 1)),
        ("x < 5e-1", Signal("x", "<", 0.5)),
        ("x > 0x1F", Signal("x", ">", 31)),
        ("up == 0 # is it down?", Signal("up", "==", 0)),
        ("a / b > 0.5", Signal("a / b", ">", 0.5)),
        ("(a + b) * 2 >= 5", Signal("(a + b) * 2", ">=", 5)),
        ("(a > 0) > 1", Signal("a > 0", ">", 1)),
        ("(a and b) > 1", Signal("a and b", ">", 1)),
        ("x offset 5m > 1", Signal("x offset 5m", ">", 1)),
        ("max_over_time(x[5m:]) > 1", Signal("max_over_time(x[5m:])", ">", 1)),
        ('up{job="a\\"b"} == 0', Signal('up{job="a\\"b"}', "==", 0)),
        ('rate(r{path=~"/a\\\\..*"}[1m]) > 1', Signal('rate(r{path=~"/a\\\\..*"}[1m])', ">", 1)),
        (
            "histogram_quantile(0.99, sum by (le) (rate(h_bucket[1m]))) > 0.5",
            Signal("histogram_quantile(0.99, sum by (le) (rate(h_bucket[1m])))", ">", 0.5),
        ),
    ],
)
def test_a_comparison_with_a_number_is_a_signal(expr: str, signal: Signal) -> None:
    assert signal_of(expr) == signal


@pytest.mark.parametrize(
    "expr",
    [
        "x > 1 and y > 2",
        "x > 1 or y > 2",
        "x > 1 unless y > 2",
        "x > y",
        "x > on (job) y",
        "x > scalar(y)",
        "x > bool 1",
        "1 > bool 0",
        "x > 1 + 1",
        "x > Inf",
        "x > NaN",
        "absent(x)",
        "x",
        "1",
        '"text"',
        "x + 1",
        "time() > 5",
        "",
        "((",
        "x >",
        "not PromQL at all",
        "x > 1 > ",
        "😀 > 1",
        "x{a='\x00",
    ],
)
def test_any_other_expression_cannot_be_followed(expr: str) -> None:
    assert signal_of(expr) is None


values = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


def quoted(value: str) -> str:
    """A PromQL string, as Prometheus prints it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@settings(deadline=None)
@given(values, st.sampled_from([">", ">=", "<", "<=", "==", "!="]), st.floats(-1e6, 1e6))
@example('a"b', ">", 0.0)
@example("a\\b", "<", 1.0)
@example("a\nb", "==", 2.0)
def test_the_query_selects_the_very_label_of_the_expression(value: str, comparison: str, threshold: float) -> None:
    signal = signal_of(f"up{{job={quoted(value)}}} {comparison} {threshold:f}")
    assert signal is not None
    selector = promql.parse(signal.query)
    assert isinstance(selector, promql.VectorSelector)
    matcher = selector.matchers.matchers[0]
    assert (matcher.name, matcher.value) == ("job", value)
    assert signal.threshold == pytest.approx(float(f"{threshold:f}"))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_makes_it_fail(expr: str) -> None:
    signal = signal_of(expr)
    assert signal is None or signal_of(f"({signal.query}) {signal.comparison} {signal.threshold!r}") == signal


@pytest.mark.parametrize("name", ["up", "rate(x[1m])", "a / b", "sum by (le) (h)"])
@pytest.mark.parametrize(
    ("comparison", "turned", "breached"),
    [
        (">", "<", (False, False, True)),
        (">=", "<=", (False, True, True)),
        ("<", ">", (True, False, False)),
        ("<=", ">=", (True, True, False)),
        ("==", "==", (False, True, False)),
        ("!=", "!=", (True, False, True)),
    ],
)
def test_turned_round_it_is_the_same_signal(
    name: str, comparison: str, turned: str, breached: tuple[bool, ...]
) -> None:
    signal = signal_of(f"{name} {comparison} 2")
    assert signal is not None
    assert signal == signal_of(f"2 {turned} {name}")
    assert tuple(signal.breached(value) for value in (1, 2, 3)) == breached


@pytest.mark.parametrize(
    ("comparison", "target"),
    [(">", "<= 2"), ("<", ">= 2"), (">=", "< 2"), ("<=", "> 2"), ("==", "!= 2"), ("!=", "== 2")],
)
def test_the_target_is_what_must_hold_for_the_alert_to_be_off(comparison: str, target: str) -> None:
    assert Signal("x", comparison, 2.0).comparison_text() == target


def test_worse_is_further_on_the_wrong_side() -> None:
    assert Signal("x", ">", 1).worse(3, 2)
    assert not Signal("x", ">=", 1).worse(2, 2)
    assert Signal("x", "<", 1).worse(-3, -2)
    assert not Signal("x", "==", 1).worse(3, 2)
    assert not Signal("x", "!=", 1).worse(3, 2)
