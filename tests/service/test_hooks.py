from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from service.configuration import Configuration
from service.hooks import Budgets, hooks
from service.settings import Settings, UnusableSettings

GENERIC = {"kind": "generic", "mapping": {"alertname": "name"}}


def settings(**given: str | None) -> Settings:
    """Read from nowhere else."""
    plain = {"pagerduty_from"}
    made: dict[str, Any] = {
        name: value if name in plain or value is None else SecretStr(value) for name, value in given.items()
    }
    return Settings.model_construct(**made)


def configuration(**sources: Any) -> Configuration:
    return Configuration.model_validate({"targets": {"shop": {}}, "sources": sources})


def on(given: Settings, declared: Configuration | None = None) -> dict[str, list[tuple[str, bytes]]]:
    found = hooks(given, declared or configuration())
    return {kind: [(one.source, one.value) for one in hook.secrets] for kind, hook in found.items() if hook.secrets}


def test_a_hook_is_on_when_its_secret_is_set() -> None:
    assert on(settings(pagerduty_secrets="a, b,")) == {"pagerduty": [("pagerduty", b"a"), ("pagerduty", b"b")]}
    assert on(settings(grafana_tokens="g")) == {"grafana": [("grafana", b"g")]}


def test_whoever_sends_alerts_may_tell_changes_and_not_the_other_way_round() -> None:
    assert on(settings(alertmanager_tokens="t")) == {
        "alertmanager": [("alertmanager", b"t")],
        "changes": [("changes", b"t")],
    }
    assert on(settings(changes_tokens="c")) == {"changes": [("changes", b"c")]}


def test_a_named_token_is_its_sources() -> None:
    declared = configuration(team_a={"kind": "alertmanager", "targets": ["shop"]})
    found = on(settings(alertmanager_tokens="team_a:one,two,other:three"), declared)
    assert found["alertmanager"] == [
        ("team_a", b"one"), ("alertmanager", b"two"), ("alertmanager", b"other:three"),
    ]  # fmt: skip


def test_generic_sources_are_told_apart_by_their_tokens() -> None:
    two = configuration(nagios=GENERIC, zabbix=GENERIC)
    assert on(settings(generic_tokens="nagios:a,zabbix:b,nobodys"), two)["generic"] == [
        ("nagios", b"a"), ("zabbix", b"b"),
    ]  # fmt: skip
    assert on(settings(generic_tokens="a"), configuration(nagios=GENERIC))["generic"] == [("nagios", b"a")]


@pytest.mark.parametrize(
    ("given", "declared", "says"),
    [
        ({}, {}, "STANCH_ALERTMANAGER_TOKENS is not set: the hook /webhooks/alertmanager would be open"),
        ({"alertmanager_tokens": " , "}, {}, "STANCH_ALERTMANAGER_TOKENS is not set"),
        ({"alertmanager_tokens": "t"}, {"grafana": {}}, "STANCH_GRAFANA_TOKENS is not set: the hook /webhooks/grafana"),
        ({"alertmanager_tokens": "t"}, {"pagerduty": {}}, "STANCH_PAGERDUTY_SECRETS is not set"),
        ({"alertmanager_tokens": "t", "pagerduty_api_token": "x"}, {}, "STANCH_PAGERDUTY_SECRETS is not set"),
        ({"alertmanager_tokens": "t", "pagerduty_routing_key": "x"}, {}, "STANCH_PAGERDUTY_SECRETS is not set"),
        ({"pagerduty_secrets": "s", "pagerduty_api_token": "x"}, {}, "STANCH_PAGERDUTY_FROM is not set"),
        (
            {"alertmanager_tokens": "t"},
            {"nagios": GENERIC},
            "STANCH_GENERIC_TOKENS is not set: .*/webhooks/generic/nagios",
        ),
        ({"generic_tokens": "hunter2"}, {"a": GENERIC, "b": GENERIC}, "STANCH_GENERIC_TOKENS holds no a:"),
        ({"alertmanager_tokens": "hunter2"}, {"team-a": {"kind": "alertmanager"}}, "TOKENS holds no team-a:"),
    ],
)
def test_a_hook_that_is_on_without_its_secret_is_named(
    given: dict[str, str], declared: dict[str, Any], says: str
) -> None:
    with pytest.raises(UnusableSettings, match=says) as refused:
        hooks(settings(**given), configuration(**declared))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic one", "one", "Bearer on", "Bearer onee", "Bearer \udcff"]
)
def test_a_wrong_token_is_nobodys(authorization: str) -> None:
    hook = hooks(settings(alertmanager_tokens="one"), configuration())["alertmanager"]
    assert hook.source_of_bearer(authorization) is None
    assert hook.source_of_bearer("bearer one") == "alertmanager"
    assert "one" not in repr(hook)


def test_a_source_may_send_so_much_and_more_again_later() -> None:
    at = 0.0
    budgets = Budgets(configuration(grafana={"posts_per_s": 2}), lambda: at)
    assert [budgets.spend("grafana") for _ in range(6)] == [True] * 4 + [False] * 2
    assert all(budgets.spend("alertmanager") for _ in range(1000))
    at = 1.0
    assert [budgets.spend("grafana") for _ in range(3)] == [True, True, False]
