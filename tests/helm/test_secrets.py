"""Which process can read which secret, judged by what the chart renders."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest
import yaml

from tests.helm.chart import CHART, PROCESSES, render
from tests.helm.examples import EVERYTHING

EVERY_POD = (*PROCESSES, "migrate")

ALLOWED = {
    "serve": {
        "STORE_DSN",
        "BROKER_URL",
        "SIGNING_KEY",
        "API_TOKENS",
        "ALERTMANAGER_TOKENS",
        "PAGERDUTY_SECRETS",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "OIDC_CLIENT_SECRET",
    },
    "worker": {"STORE_DSN", "BROKER_URL"},
    "causal": {"STORE_DSN", "BROKER_URL"},
    "executor": {"STORE_DSN", "BROKER_URL", "VERIFY_KEYS"},
    "migrate": {"STORE_DSN"},
}


@pytest.mark.parametrize("component", EVERY_POD)
def test_with_everything_on_a_process_reads_its_own_keys_and_no_other(component: str) -> None:
    own = render(EVERYTHING).readable_secrets(component)[f"stanch-{component}"]
    assert own == ALLOWED[component]


def test_the_signing_key_reaches_serve_and_no_other_process() -> None:
    release = render(EVERYTHING)
    readers = {
        component
        for component in EVERY_POD
        for keys in release.readable_secrets(component).values()
        if "SIGNING_KEY" in keys
    }
    assert readers == {"serve"}


def test_verify_keys_and_writing_dsns_reach_the_executor_and_no_other_process() -> None:
    release = render(EVERYTHING)
    by_process = {component: release.readable_secrets(component) for component in EVERY_POD}
    assert {c for c, found in by_process.items() if "stanch-fix" in found} == {"executor"}
    assert {c for c, found in by_process.items() if any("VERIFY_KEYS" in keys for keys in found.values())} == {
        "executor"
    }


def test_diagnose_dsns_reach_the_worker_and_no_other_process() -> None:
    release = render(EVERYTHING)
    assert {c for c in EVERY_POD if "stanch-diagnose" in release.readable_secrets(c)} == {"worker"}


def test_the_causal_worker_has_prometheus_and_the_store_and_no_target() -> None:
    release = render(EVERYTHING)
    assert set(release.readable_secrets("causal")) == {"stanch-causal"}
    assert release.env("causal")["STANCH_PROMETHEUS_URL"] == "https://prometheus.example"


def test_only_public_keys_come_as_an_environment_variable() -> None:
    release = render(EVERYTHING)
    found = {(component, variable) for component in EVERY_POD for variable in release.secret_variables(component)}
    assert found == {("executor", "STANCH_VERIFY_KEYS")}
    assert release.secret_variables("executor")["STANCH_VERIFY_KEYS"] == {
        "name": "stanch-executor",
        "key": "VERIFY_KEYS",
    }


@pytest.mark.parametrize("component", EVERY_POD)
def test_every_mounted_key_is_named_by_its_setting_and_the_other_way_round(component: str) -> None:
    release = render(EVERYTHING)
    named = {
        name.removeprefix("STANCH_").removesuffix("_FILE"): path
        for name, path in release.env(component).items()
        if name.endswith("_FILE")
    }
    assert set(named) == release.readable_secrets(component)[f"stanch-{component}"] - {"VERIFY_KEYS"}
    (mount,) = [m["mountPath"] for m in release.container(component)["volumeMounts"] if m["name"] == "secrets"]
    assert named == {key: f"{mount}/{key}" for key in named}


def test_a_hook_that_is_off_asks_for_no_secret() -> None:
    quiet = render({"alertmanager": {"enabled": False}})
    assert quiet.readable_secrets("serve") == {"stanch-serve": {"STORE_DSN", "BROKER_URL", "SIGNING_KEY", "API_TOKENS"}}
    assert quiet.readable_secrets("worker") == {"stanch-worker": {"STORE_DSN", "BROKER_URL"}}


@pytest.mark.parametrize("component", EVERY_POD)
def test_secret_files_are_closed_to_others_and_mounted_read_only(component: str) -> None:
    release = render(EVERYTHING)
    secrets = {v["name"]: v["secret"] for v in release.pod(component)["volumes"] if "secret" in v}
    assert all(secret["defaultMode"] == 0o440 for secret in secrets.values())
    mounts = [m for m in release.container(component)["volumeMounts"] if m["name"] in secrets]
    assert len(mounts) == len(secrets)
    assert all(mount["readOnly"] for mount in mounts)


def test_the_chart_makes_no_secret_of_its_own() -> None:
    assert render(EVERYTHING).of_kind("Secret") == []


@pytest.mark.parametrize(
    ("first", "second"), [("serve", "worker"), ("worker", "causal"), ("diagnose", "fix"), ("serve", "diagnose")]
)
def test_one_secret_for_two_uses_is_refused_and_both_are_named(first: str, second: str) -> None:
    with pytest.raises(helm_python.HelmRenderError) as refused:
        render({"secrets": {first: "shared", second: "shared"}})
    assert f"secrets.{min(first, second)} and secrets.{max(first, second)}" in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [
        {"targets": [{"dsn": "postgresql://stanch:hunter2@db/shop"}]},
        {"targets": [{"dsn": "host=db user=stanch password=hunter2"}]},
        {"targets": [{"password": "hunter2"}]},
    ],
)
def test_a_password_in_the_config_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmRenderError, match="looks like a password"):
        render({"config": config})


@pytest.mark.parametrize(
    "config",
    [
        {"links": ["https://wiki.example/a:b", "mailto:anna@example.org"]},
        {"targets": [{"diagnose_dsn_file": "/etc/stanch/diagnose/shop", "password_file": "/etc/stanch/diagnose/p"}]},
        {"slack": "https://slack.example", "owner": "anna@example.org"},
    ],
)
def test_a_config_without_a_password_is_taken_as_it_is(config: dict[str, Any]) -> None:
    rendered = render({"config": config}).objects["config-configmap"]["data"]["stanch.yaml"]
    assert yaml.safe_load(rendered) == config


def test_the_guide_names_every_key_of_every_secret() -> None:
    guide = (CHART.parents[1] / "docs" / "guide" / "kubernetes.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in guide.splitlines() if line.startswith("| `stanch-")}
    for component, keys in ALLOWED.items():
        assert {key for key in keys if f"`{key}`" in rows[f"stanch-{component}"]} == keys
