from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connectors.changes import Change, read
from connectors.json_document import UnusablePayload

APP = {
    "metadata": {"name": "checkout-prod", "labels": {"app.kubernetes.io/name": "checkout"}},
    "spec": {"source": {"repoURL": "https://git.example.com/checkout"}},
    "status": {
        "sync": {"status": "Synced", "revision": "3f1c2d4"},
        "summary": {"images": ["registry.example.com/checkout:2.14.0"]},
        "operationState": {"phase": "Succeeded", "finishedAt": "2026-11-21T12:00:00Z"},
    },
}


def test_argo_cds_application_is_a_change_of_its_service() -> None:
    (change,) = read(json.dumps({"app": APP}).encode())
    assert change == Change(
        "checkout",
        "3f1c2d4",
        "Argo CD checkout-prod: Succeeded; registry.example.com/checkout:2.14.0",
        datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    )


def test_an_application_that_says_little_is_still_a_change() -> None:
    (change,) = read(b'{"app": {"metadata": {"name": "web"}}}')
    assert change == Change("web", None, "Argo CD web: changed", None)


def test_several_kinds_come_in_one_list() -> None:
    found = read(json.dumps([{"service": "a", "version": "1"}, {"app": APP}]).encode())
    assert [one.service for one in found] == ["a", "checkout"]
    assert read(b"[]") == ()


@pytest.mark.parametrize(
    "body",
    [b'{"app": 3}', b'{"app": {"metadata": {}}}', b'{"app": {"metadata": {"name": ""}}}',
     b'{"app": {"metadata": {"name": "a"}, "status": {"operationState": {"finishedAt": "soon"}}}}',
     b'[{"service": "a"}, 7]', b'{"service": "a", "service": "b"}', json.dumps([{"service": "a"}] * 1001).encode()],
)  # fmt: skip
def test_anything_else_is_refused_whole(body: bytes) -> None:
    with pytest.raises(UnusablePayload):
        read(body)
