"""What the chart tells a process is what the process understands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from guardrails.permit import SigningKey, VerifyKeys
from service.configuration import Configuration
from service.settings import SECRETS, Settings
from tests.helm.chart import CHART, PROCESSES, render
from tests.helm.examples import EVERYTHING, OBSERVE_ONE_TARGET

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = CHART.parents[1] / "docs" / "guide" / "kubernetes.md"


def example_of_the_guide() -> dict[str, Any]:
    """The block of values in the guide."""
    blocks = [part.split("```")[0] for part in GUIDE.read_text().split("```yaml\n")[1:]]
    (block,) = [found for found in blocks if found.startswith("image:")]
    values: dict[str, Any] = yaml.safe_load(block)
    return values


@pytest.mark.parametrize("component", [*PROCESSES, "migrate"])
def test_every_variable_is_a_setting(component: str) -> None:
    release = render(EVERYTHING)
    names = {*release.env(component), *release.secret_variables(component)} - {"HOME"}
    settings = {name.removeprefix("STANCH_").lower() for name in names}
    from_files = {name for name in settings if name.endswith("_file") and name.removesuffix("_file") in SECRETS}
    assert {name.removesuffix("_file") for name in from_files} <= set(Settings.model_fields)
    assert settings - from_files <= set(Settings.model_fields)


@pytest.mark.parametrize("values", [OBSERVE_ONE_TARGET, EVERYTHING, example_of_the_guide()])
def test_a_config_from_values_is_read_as_it_was_written(values: dict[str, Any]) -> None:
    rendered = render(values).objects["config-configmap"]["data"]["stanch.yaml"]
    read = Configuration.model_validate(yaml.safe_load(rendered))
    assert read == Configuration.model_validate(values["config"])
    assert set(read.targets) == {"shop"}


def test_a_dsn_file_named_in_the_config_lies_where_a_process_mounts_it() -> None:
    release = render(EVERYTHING)
    shop = Configuration.model_validate(EVERYTHING["config"]).targets["shop"]
    read_by = {"worker": [shop.diagnose_dsn_file], "executor": [shop.fix_dsn_file, shop.signal_dsn_file]}
    for process, files in read_by.items():
        mounts = {mount["mountPath"] for mount in release.container(process)["volumeMounts"]}
        assert all(file is not None and str(file.parent) in mounts for file in files)


def test_the_keys_made_as_the_guide_says_are_a_pair_that_the_processes_read(tmp_path: Path) -> None:
    code = GUIDE.read_text().split("python -c '")[1].split("'\n")[0]
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(GUIDE.parents[2])}, check=True
    )
    signing = SigningKey.from_text((tmp_path / "signing.key").read_text())
    assert VerifyKeys.from_text((tmp_path / "verify.keys").read_text()).key_ids == {signing.key_id}


SET_BY_THE_CHART = {"store_dsn", "broker_url", "alertmanager_tokens", "signing_key", "verify_keys", "config",
                    "data_dir", "public_url", "prometheus_url", "api_tokens_file", "bind_host",
                    "bind_port"}  # fmt: skip
OF_NO_CHART = {"dev_login", "api_token"}
"""A login without a password is for a loopback address, and the command line's own token for a person's machine."""


def test_every_other_setting_of_serve_can_be_given_through_the_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["serve"]["properties"]
    secret = {name.lower() for name in schema["secretKeys"]["items"]["enum"]}
    plain = {name.lower() for name in schema["settings"]["propertyNames"]["enum"]}
    assert secret == (SECRETS & set(Settings.model_fields)) - SET_BY_THE_CHART - OF_NO_CHART
    assert plain == set(Settings.model_fields) - SECRETS - SET_BY_THE_CHART


def test_a_setting_of_the_values_reaches_serve_and_no_other_process() -> None:
    release = render(EVERYTHING)
    assert release.env("serve")["STANCH_SLACK_CHANNEL"] == "C0123456789"
    assert all("STANCH_SLACK_CHANNEL" not in release.env(process) for process in PROCESSES if process != "serve")
