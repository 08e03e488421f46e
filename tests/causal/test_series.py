from __future__ import annotations

import numpy as np
import pytest

from causal.series import Frame, SeriesName, UnusableInput, quantiles


def test_the_first_bar_divides_service_and_metric() -> None:
    assert SeriesName.parse("PetSite|latency|Average") == SeriesName("PetSite", "latency|Average")
    assert str(SeriesName.parse("a|b")) == "a|b"


def test_a_column_without_a_bar_is_a_service_of_one_series() -> None:
    assert SeriesName.parse("queue") == SeriesName("queue", "value")


def test_rows_are_sorted_and_the_last_of_a_repeated_time_is_kept() -> None:
    frame = Frame.from_columns([30.0, 10.0, 20.0, 10.0], {"a|x": [3.0, 0.0, 2.0, 1.0]})
    assert frame.times.tolist() == [10.0, 20.0, 30.0]
    assert frame.values[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert frame.step_s == 10.0


def test_infinities_are_no_data() -> None:
    frame = Frame.from_columns([1.0, 2.0], {"a|x": [np.inf, 1.0]})
    assert np.isnan(frame.values[0, 0])


@pytest.mark.parametrize(
    ("times", "columns", "words"),
    [
        ([], {"a|x": []}, "no samples"),
        ([1.0], {}, "no series"),
        ([1.0, float("nan")], {"a|x": [1.0, 2.0]}, "not numbers"),
        ([1.0, 2.0], {"a|x": [1.0]}, "1 samples"),
        ([1.0], {"a|x": ["many"]}, "not a number"),
        ([1.0], {"|x": [1.0]}, "names no service"),
        ([1.0], {"a|value": [1.0], "a": [1.0]}, "same series"),
        ([1.0], {"a|x": [[1.0, 2.0]]}, "dimensions"),
    ],
)
def test_unusable_input_is_one_clear_line(times: list[float], columns: dict[str, list[float]], words: str) -> None:
    with pytest.raises(UnusableInput, match=words) as caught:
        Frame.from_columns(times, columns)
    assert "\n" not in str(caught.value)


def test_quantiles_pass_over_holes_and_stay_silent_on_empty_columns() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [5.0, np.nan]])
    (middle,) = quantiles(values, 0.5)
    assert middle[0] == 3.0
    assert np.isnan(middle[1])
