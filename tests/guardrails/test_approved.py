from __future__ import annotations

import re
from pathlib import Path

from mypy import api

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("service", "lab", "connectors", "agent", "causal", "guardrails")

EXAMPLE = """
from guardrails.action import Action, CreateIndexConcurrently
from guardrails.approved import Approved

def execute(approved: Approved[Action]) -> None: ...

def admitted(approved: Approved[CreateIndexConcurrently]) -> None:
    execute(approved)

execute(CreateIndexConcurrently("public", "orders", ("customer_id",)))
"""


def test_the_judge_alone_touches_the_seal() -> None:
    makers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\bSEAL\b|\bApproved\(|Approved\.__new__|_Seal\b", path.read_text(encoding="utf-8"))
    }
    assert makers == {"guardrails/approved.py", "guardrails/judge.py"}


def test_a_bare_action_does_not_type_check_where_an_approved_one_is_wanted(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(EXAMPLE, encoding="utf-8")
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\nmypy_path = {ROOT}\nexplicit_package_bases = true\n", encoding="utf-8")
    cache = str(tmp_path / "cache")
    out, _errors, status = api.run(["--config-file", str(config), "--cache-dir", cache, str(example)])
    assert status == 1
    errors = [line for line in out.splitlines() if "error:" in line]
    assert len(errors) == 1, out
    assert "example.py:10" in errors[0]
    assert "arg-type" in errors[0]
