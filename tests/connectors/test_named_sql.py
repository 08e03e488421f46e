"""Every query that is kept is asked by somebody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors import named_sql

ROOT = Path(__file__).resolve().parents[2]
_FILES = sorted(
    path for room in ("store", "target") for path in (ROOT / "connectors" / room).glob("*.sql")
)  # fmt: skip
_CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for room in ("connectors", "service", "lab", "agent")
    for path in sorted((ROOT / room).rglob("*.py"))
)


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_query_is_kept_that_nobody_names(path: Path) -> None:
    names = named_sql.load(f"connectors.{path.parent.name}", path.name)

    unused = [name for name in names if not re.search(rf"\b{name}\b", _CODE)]

    assert unused == []
