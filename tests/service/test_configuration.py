from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.incident import Mode
from service.configuration import Configuration, dsn, read
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from pathlib import Path


def written(place: Path, text: str | bytes) -> Path:
    path = place / "stanch.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_without_a_file_nothing_is_a_target_and_nobody_may_approve() -> None:
    empty = read(None)
    assert (empty.targets, empty.rules.approvers, empty.target_for({"service": "x"})) == ({}, (), None)


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert read(written(tmp_path, "# nothing yet\n")) == Configuration()


def test_a_new_target_is_only_observed(tmp_path: Path) -> None:
    found = read(written(tmp_path, "targets: {shop: {selector: {db: shop}}}"))
    assert found.targets["shop"].mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("targets: {shop: {mode: destroy}}", "targets.shop.mode"),
        ("targets: {shop: {moode: act}}", "targets.shop.moode"),
        ("targets: {shop: {selector: {db: '('}}}", "targets.shop.selector.db: Value error, no regular expression"),
        ("graph: [[a]]", "graph.0"),
        ("verification: {window_s: 0}", "verification.window_s"),
        ("metrics: [{name: x}]", "metrics.0.query"),
        ("unknown: 1", "unknown"),
        ("policy: {unknown: 1}", "policy has no key 'unknown'"),
        ("policy: {rate_limit: {executions: -1}}", "executions is not a positive number"),
        ("approvers: [{persn: a}]", "an approver has no key 'persn'"),
        ("approvers: [a, a]", "approvers names 'a' twice"),
        ("{", "not YAML"),
        ("- a list", "valid dictionary"),
        ("!!python/object:os.system {}", "not YAML"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str | bytes, place: str) -> None:
    with pytest.raises(UnusableSettings) as caught:
        read(written(tmp_path, text))
    assert place in str(caught.value)
    assert str(tmp_path / "stanch.yaml") in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableSettings, match=r"STANCH_CONFIG: No such file or directory: .*/none.yaml"):
        read(tmp_path / "none.yaml")


def test_an_alert_finds_its_target_by_selector_and_then_by_what_its_service_calls() -> None:
    found = Configuration.model_validate(
        {
            "targets": {"orders-db": {}, "users-db": {"selector": {"db": "users.*", "env": "prod"}}},
            "graph": [("web", "orders"), ("orders", "orders-db"), ("orders", "web")],
        }
    )
    assert found.target_for({"db": "users-1", "env": "prod"}) == "users-db"
    assert found.target_for({"db": "users-1", "env": "production"}) is None
    assert found.target_for({"service": "web"}) == "orders-db"
    assert found.target_for({"service": "elsewhere"}) is None
    assert found.reachable("web") == ("web", "orders", "orders-db")


def test_a_dsn_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://x\n", encoding="utf-8")
    assert dsn(tmp_path / "dsn", "fix_dsn_file of shop") == "postgresql://x"
    with pytest.raises(UnusableSettings, match="fix_dsn_file of shop is not configured"):
        dsn(None, "fix_dsn_file of shop")
    with pytest.raises(UnusableSettings, match="fix_dsn_file of shop: No such file"):
        dsn(tmp_path / "none", "fix_dsn_file of shop")
