"""One production for every incident; each scenario begins on a quiet shop, and a failure tells what happened."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from lab.production import Scale
from lab.slack.workspace import Workspace
from lab.stack import ROOT
from tests.acceptance.scene import CLICKER, Scene, SteadyProduction

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SCALE = Scale(policy=(("rate_limit", {"executions": 50}),))
"""More incidents an hour than a target of anybody's would be allowed."""


@contextmanager
def slack() -> Iterator[Workspace]:
    workspace = Workspace()
    workspace.add(CLICKER)
    workspace.start()
    try:
        yield workspace
    finally:
        workspace.stop()


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = tmp_path_factory.mktemp("production")
    with (
        slack() as workspace,
        SteadyProduction(place, cache=ROOT / ".cache", scale=SCALE, progress=lambda _line: None) as production,
    ):
        production.stack.settings["serve"] = workspace.settings()
        production.seed(lambda _phase, _share: None)
        production.start_servers()
        production.start_shop()
        production.stack.wait_until_ready()
        with closing(production.api()) as api:
            yield Scene(production, api, workspace)


@pytest.fixture
def scene(running: Scene) -> Scene:
    running.make_quiet()
    return running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    found = getattr(item, "funcargs", {}).get("running")
    if report.failed and isinstance(found, Scene):
        report.sections += found.account()
    return report
