"""The Dockerfile against the chart and the project. It cannot be built here; that they agree can be seen."""

from __future__ import annotations

import tomllib

import pytest

from tests.helm.chart import CHART, PROCESSES, render

ROOT = CHART.parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().splitlines()


@pytest.mark.parametrize("component", [*PROCESSES, "migrate"])
def test_the_image_and_the_pods_run_as_the_same_user(component: str) -> None:
    security = render().pod(component)["securityContext"]
    (user,) = [line.removeprefix("USER ") for line in DOCKERFILE if line.startswith("USER ")]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_image_has_every_package_of_the_project_and_the_seed_skills() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {line.split()[1] for line in DOCKERFILE if line.startswith("COPY ") and "/app/" in line}
    assert {*packages, "runbooks"} <= copied


def test_the_image_has_none_of_the_embedded_servers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    servers = {found.split(">=")[0] for found in project["project"]["optional-dependencies"]["embedded"]}
    (removed,) = [line.split("uninstall --yes ")[1].split() for line in DOCKERFILE if "uninstall" in line]
    assert set(removed) == servers
