"""Closed postmortems in their structured form, for the tests of what is learned from them."""

from __future__ import annotations

from typing import Any


def post(number: int = 1, *, outcome: str | None = "recovered", **changes: Any) -> dict[str, Any]:
    """One incident whose index was missing. changes: top-level fields in place of its own."""
    ran = outcome in {"recovered", "not_recovered", "regressed"}
    return {
        "schema": "postmortem/v1",
        "incident": f"INC-{number}",
        "title": "OrdersSlow: orders",
        "service": "orders",
        "severity": "page",
        "target": "orders-db",
        "environment": "production",
        "role": "middle",
        "changes": ["deploy"],
        "mode": "act",
        "skill": "postgres-missing-index",
        "outcome": outcome,
        "labels": {"alertname": "OrdersSlow", "service": "orders", "severity": "page", "team": "shop"},
        "seconds": {"restore": 42.0},
        "cause": {
            "id": "missing_index",
            "title": "Missing index",
            "probability": 0.96,
            "low": 0.8,
            "high": 0.97,
            "confirmed_by": "verified fix" if outcome == "recovered" else None,
        },
        "beliefs": {"missing_index": 0.96, "none_of_these": 0.04},
        "why": "",
        "refused": [],
        "checks": [],
        "course": [
            turn("workload_sample", "yes", gain=None),
            turn("slow_statement", "yes"),
            turn("index_would_help", "yes"),
            turn("lock_waits", "no"),
            turn("connections", "not_visible"),
        ],
        "found_by": ["database:slow_statement", "database:index_would_help"],
        "fix": {"action": "create_index_concurrently", "params": {}, "command": "CREATE INDEX …", "digest": "ab" * 32},
        "executions": [{"phase": "run", "state": "finished", "detail": "the index is valid"}] if ran else [],
        "decisions": [],
        "verification": "recovered: 0.1 s",
        "timeline": [],
        "self_critique": [],
        "siblings": None,
        "recalled": {"incidents": [], "hypotheses": [], "margin": None, "clear": False, "lessons": []},
        "written_at": "2026-11-22T03:00:00+00:00",
        **changes,
    }


def turn(check: str, status: str, *, gain: float | None = 0.4, look: int = 1) -> dict[str, Any]:
    return {
        "look": look, "check": check, "question": f"database:{check}", "why": "most expected bits for its seconds",
        "gain_bits": gain, "cost_s": 0.1, "evidence": 3, "status": status, "summary": f"{check} says {status}",
        "sha256": "ab" * 32, "before": {"missing_index": 0.3, "none_of_these": 0.7},
        "after": {"missing_index": 0.8, "none_of_these": 0.2},
    }  # fmt: skip
