"""A shop's database loses an index under load: the whole way, and the ways on which nothing may run."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.scene import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.acceptance.scene import Scene

pytestmark = pytest.mark.acceptance

CONFLICT = 409


def test_an_approved_fix_is_built_once_while_writes_go_on_and_recovery_is_verified(scene: Scene) -> None:
    key = scene.break_the_shop()
    proposed = scene.until_proposed(key)
    assert proposed["cause"]["id"] == "missing_index"
    assert proposed["target"] == "orders-db"
    assert scene.builds() == []

    scene.approve(key)
    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "recovered"
    [built] = scene.builds()
    assert built.text == proposed["proposal"]["command"]
    assert built.user == "stanch_fix"
    assert scene.indexes()[_index_of(proposed)]
    [run] = ended["executions"]
    assert run["state"] == "finished"
    start, end = (datetime.fromisoformat(run[name]).timestamp() for name in ("started_at", "finished_at"))
    assert scene.writes_between(start, end) > 0
    _the_postmortem_is_on_disk_and_in_the_store(scene, key)
    _the_skill_learned_from_it(scene, key)
    _the_evidence_is_what_it_says(scene, key, ended)
    _the_audit_chain_is_intact(scene)


def _index_of(proposed: Mapping[str, Any]) -> str:
    name: str = proposed["proposal"]["command"].split()[3]
    return name


def _the_postmortem_is_on_disk_and_in_the_store(scene: Scene, key: str) -> None:
    folder = scene.production.stack.data_dir / "postmortems"
    [row] = scene.ask_store(
        "SELECT body, markdown FROM stanch.postmortem WHERE incident_id = %s", int(key.removeprefix("INC-"))
    )
    assert json.loads((folder / f"{key}.json").read_text(encoding="utf-8")) == row["body"]
    text = (folder / f"{key}.md").read_text(encoding="utf-8")
    assert text == row["markdown"]
    assert "Outcome: **recovered**" in text
    assert "CREATE INDEX CONCURRENTLY" in text


def _the_skill_learned_from_it(scene: Scene, key: str) -> None:
    counted = scene.ask_store(
        "SELECT skill, cause, name, outcome FROM stanch.skill_count WHERE incident_id = %s",
        int(key.removeprefix("INC-")),
    )
    fix = {"skill": "postgres-missing-index", "cause": "missing_index", "name": "fix", "outcome": "recovered"}
    assert fix in counted
    assert any(row["outcome"] == "yes" for row in counted)


def _the_evidence_is_what_it_says(scene: Scene, key: str, ended: Mapping[str, Any]) -> None:
    stored = scene.ask_store(
        "SELECT 'E' || id AS id, sha256, encode(sha256(body), 'hex') AS actual FROM stanch.evidence "
        "WHERE incident_id = %s", int(key.removeprefix("INC-"))
    )  # fmt: skip
    assert stored
    assert all(row["sha256"] == row["actual"] for row in stored)
    shown = {row["id"]: row["sha256"] for row in ended["evidence"]}
    assert shown == {row["id"]: row["sha256"] for row in stored}


def _the_audit_chain_is_intact(scene: Scene) -> None:
    def verified() -> dict[str, Any] | None:
        """None until the sealer has caught up."""
        [row] = scene.ask_store(
            "SELECT count(*) AS rows, count(s.audit_id) AS sealed FROM stanch.audit a "
            "LEFT JOIN stanch.audit_seal s ON s.audit_id = a.id"
        )
        return row if row["rows"] == row["sealed"] else None

    eventually("every audit row is sealed", verified)
    stack = scene.production.stack
    done = scene.command(
        "audit", "verify", "--json",
        STANCH_STORE_DSN=stack.store_dsn("stanch_api"), STANCH_DATA_DIR=str(stack.data_dir.resolve()),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["intact"] is True


def test_a_denied_fix_does_not_run_and_a_human_is_asked(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.until_proposed(key)

    done = scene.command("deny", key, "--reason", "we fail over instead")
    assert done.returncode == 0, done.stderr
    ended = scene.until_told(key, "needs_human")

    assert ended["outcome"] == "no_action"
    assert "we fail over instead" in ended["why"]
    assert ended["proposal"]["approval"]["state"] == "denied"
    assert ended["executions"] == []
    assert scene.decide(key, "approve").status_code == CONFLICT
    assert scene.builds() == []


def test_a_fix_that_nobody_decides_on_expires_and_a_late_approval_is_refused(scene: Scene) -> None:
    with scene.policy(decide_within_s=10):
        key = scene.break_the_shop()
        scene.until_proposed(key)

        ended = scene.until_told(key, "needs_human")

        assert ended["outcome"] == "no_action"
        assert ended["proposal"]["approval"]["state"] == "expired"
        assert scene.decide(key, "approve").status_code == CONFLICT
        late = scene.command("approve", key)
        assert late.returncode == 2
        assert "already expired" in late.stderr
        assert scene.incident(key)["executions"] == []
        assert scene.builds() == []


def test_an_alert_that_resolves_by_itself_takes_back_what_waited_for_approval(scene: Scene) -> None:
    key = scene.break_the_shop()
    scene.until_proposed(key)

    scene.repair_by_hand()
    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "self_resolved"
    states = [line["to"] for line in ended["timeline"] if line["to"]]
    assert states[-2:] == ["self_resolved", "closed"]
    cancelled = scene.until(
        key, "the approval is cancelled", lambda one: one["proposal"]["approval"]["state"] == "cancelled"
    )
    assert cancelled["executions"] == []
    assert scene.decide(key, "approve").status_code == CONFLICT
    assert scene.builds() == []
