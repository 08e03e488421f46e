from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.json_document import MAX_DEPTH, UnusablePayload, load


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": 1e999}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), f"more than {MAX_DEPTH} deep"),
        (b'{"a": 1, "a": 1}', "'a' stands twice"),
        (b'[{"x": {"b": 1, "c": 2, "b": 3}}]', "'b' stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
    ],
)
def test_what_two_readers_would_not_agree_on_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(UnusablePayload) as refused:
        load(body)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 300


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_json_writes_is_read(document: Any) -> None:
    assert load(json.dumps(document).encode()) == document


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(body: bytes) -> None:
    try:
        load(body)
    except UnusablePayload as refused:
        assert str(refused)  # noqa: PT017 every refusal has a reason
