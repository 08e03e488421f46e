"""Generated requests over the whole OpenAPI document: whatever comes, no answer is an error of the server."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.service.app_world import App

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports'
    import schemathesis

pytestmark = pytest.mark.integration
EXAMPLES = 5
"""An operation. A store that is away is 503, which is an answer; the store is there in this test."""
ENDLESS = frozenset({"/events", "/api/v1/events", "/i/{key}/events"})


def test_no_generated_request_is_answered_with_a_server_error(app: App) -> None:
    document: dict[str, Any] = app.ask("GET", "/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations: set[str] = set()
    asked_of: set[str] = set()
    for result in schema.get_all_operations():
        operation = cast("Any", result).ok()
        if operation.path in ENDLESS or "event" in operation.path:
            continue

        operations.add(operation.label)

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(), authorised=st.booleans())
        def asked(case: Any, authorised: bool) -> None:
            sent = case.as_transport_kwargs(base_url="http://stanch.test")
            headers = {str(name): str(value) for name, value in (sent.get("headers") or {}).items()}
            if authorised:
                headers["Authorization"] = f"Bearer {app.tokens['ada@example.com']}"
            if sent.get("cookies"):
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in sent["cookies"].items())
            body = {name: sent[name] for name in ("json", "data", "params") if sent.get(name) is not None}
            path = sent["url"].removeprefix("http://stanch.test")
            answer = app.ask(sent["method"], path, headers=headers, **_plain(body))
            asked_of.add(case.operation.label)
            assert answer.status_code < 500, (sent["method"], path, answer.text[:300])

        asked()
    assert len(operations) > 20
    assert asked_of == operations


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """What requests calls data, httpx calls content."""
    data = body.pop("data", None)
    if isinstance(data, (bytes, str)):
        body["content"] = data
    elif data is not None:
        body["data"] = data
    return body
