"""Hand-made cases: every mechanism, two recordings of each, in the shape the lab's recordings have.

`case("missing_index")` is one of them, `recordings()` are all, for a Generator; `answers={...}` replaces single ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.replay.case import HARMLESS, Case, Said, Truth

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS = 2
STEP_S = 6.0
SECONDS = {"database": 0.08, "causal": 0.4, "metrics": 0.1, "changes": 0.02}

_BACKEND = {"pid": 4711, "backend_start": "2026-11-20T10:00:00+00:00", "query_sha256": "a" * 64}
_TABLE = {"schema": "public", "table": "orders", "columns": ["customer_id", "placed_at"]}


@dataclass(frozen=True, slots=True)
class Made:
    """What one mechanism looks like: who says yes, who is to blame, and what cures it."""

    component: str
    alerts: tuple[str, ...]
    says_yes: tuple[str, ...]
    action: str | None = None
    params: Mapping[str, Any] | None = None
    restore_s: float | None = None


_INDEX = {"method": "btree", **_TABLE}
MADE: Mapping[str, Made] = {
    "missing_index": Made(
        "orders-db",
        ("StorefrontSlow", "OrdersSlow"),
        ("sequential_scans_dominate", "slow_statement", "plan_scans_a_big_table", "index_would_help", "missing_index"),
        "create_index_concurrently",
        _INDEX,
        21.0,
    ),
    "outdated_statistics": Made(
        "orders-db",
        ("StorefrontSlow", "OrdersSlow"),
        ("slow_statement", "stale_statistics", "outdated_statistics", "sequential_scans_dominate"),
        "analyze_table",
        {"schema": "public", "table": "orders", "columns": []},
        12.0,
    ),
    "idle_in_transaction": Made(
        "orders-db",
        ("StorefrontErrors", "OrdersSlow"),
        ("lock_waits", "idle_in_transaction", "long_transaction", "row_lock_pile_up"),
        "terminate_backend",
        _BACKEND,
        9.0,
    ),
    "row_lock_pile_up": Made(
        "orders-db",
        ("StorefrontErrors", "OrdersSlow"),
        ("lock_waits", "row_lock_pile_up"),
        "terminate_backend",
        _BACKEND,
        9.0,
    ),
    "ddl_lock_queue": Made(
        "orders-db", ("StorefrontErrors",), ("lock_waits", "ddl_lock_queue"), "cancel_backend", _BACKEND, 9.0
    ),
    "runaway_query": Made(
        "orders-db",
        ("StorefrontSlow", "CatalogSlow"),
        ("slow_statement", "runaway_query", "sequential_scans_dominate"),
        "cancel_backend",
        _BACKEND,
        10.0,
    ),
    "connection_leak": Made(
        "orders",
        ("DatabaseConnectionsHigh", "OrdersSlow"),
        ("connections_exhausted", "connection_exhaustion", "pool_waiting"),
    ),
    "old_xmin": Made(
        "orders-db", ("CatalogSlow",), ("long_transaction", "old_xmin"), "terminate_backend", _BACKEND, 30.0
    ),
    "temp_file_spill": Made(
        "orders-db",
        ("CatalogSlow",),
        ("slow_statement", "temp_file_spill"),
        "set_role_setting",
        {"role": "shop", "database": "shop", "name": "work_mem", "value": "64MB", "previous": "4MB"},
        14.0,
    ),
    "invalid_index": Made(
        "orders-db",
        ("StorefrontSlow",),
        ("slow_statement", "invalid_index_left", "invalid_index", "sequential_scans_dominate"),
        "reindex_index_concurrently",
        {"schema": "public", "index": "orders_customer_idx"},
        19.0,
    ),
    "cpu_saturation": Made("catalog", ("CatalogSlow", "StorefrontSlow"), ("cpu_saturated", "symptoms_now")),
    "slow_dependency": Made("payments", ("StorefrontSlow",), ("slow_callee", "symptoms_now")),
    "bad_deploy": Made(
        "orders", ("StorefrontErrors",), ("recent_change", "error_rate_rose", "errors_follow_a_change", "symptoms_now")
    ),
    "traffic_surge": Made("storefront", ("StorefrontSlow",), ("traffic_surge", "target_leads", "symptoms_now")),
    "no_fault": Made("storefront", ("CatalogSlow", "StorefrontErrors"), ()),
}

DATABASE = (
    *("workload_sample", "sequential_scans_dominate", "slow_statement", "plan_scans_a_big_table", "index_would_help"),
    *("invalid_index_left", "lock_waits", "connections_exhausted", "stale_statistics", "long_transaction"),
    *("ddl_lock_queue", "row_lock_pile_up", "idle_in_transaction", "connection_exhaustion", "runaway_query"),
    *("old_xmin", "missing_index", "outdated_statistics", "plan_flip", "temp_file_spill", "invalid_index"),
    *("table_bloat", "write_surge", "autovacuum_starved"),
)

METRICS = (
    *("traffic_surge", "error_rate_rose", "errors_follow_a_change", "slow_callee", "cpu_saturated", "pool_waiting"),
    "symptoms_now",
)

SERVICE = {"StorefrontSlow": "storefront", "StorefrontErrors": "storefront", "OrdersSlow": "orders"}
SERVICE |= {"CatalogSlow": "catalog", "DatabaseConnectionsHigh": "orders-db"}


def case(
    mechanism: str, alert: str | None = None, variant: int = 0, *, answers: Mapping[str, Said] | None = None
) -> Case:
    """One hand-made incident. answers: by question, in place of what the mechanism would have it be."""
    made = MADE[mechanism]
    alertname = alert or made.alerts[0]
    said = {asked: (one,) * STEPS for asked, one in _answers(mechanism, made, variant).items()}
    said |= {asked: (one,) * STEPS for asked, one in (answers or {}).items()}
    return Case(
        id=f"{mechanism.replace('_', '-')}-{alertname.lower()}-{variant}",
        family=f"{mechanism}/{alertname}/x1/shop",
        labels={"alertname": alertname, "service": SERVICE[alertname], "severity": "page"},
        service=SERVICE[alertname],
        target="orders-db",
        answers=said,
        truth=Truth(mechanism.replace("_", "-"), made.component, mechanism, made.action, made.restore_s),
        step_s=STEP_S,
        strata=frozenset({"recorded", *(["benign"] if mechanism in HARMLESS else [])}),
    )


@dataclass(frozen=True, slots=True)
class HandMade:
    """As a recording: something that has a case."""

    of: Case

    def case(self) -> Case:
        return self.of


def recordings(variants: int = 2) -> tuple[HandMade, ...]:
    """Every mechanism under every alert it raises, `variants` of each."""
    return tuple(
        HandMade(case(mechanism, alert, variant))
        for mechanism, made in MADE.items()
        for alert in made.alerts
        for variant in range(variants)
    )


def _answers(mechanism: str, made: Made, variant: int) -> dict[str, Said]:
    said = {f"database:{name}": _database(name, made, variant) for name in DATABASE}
    in_target = made.component == "orders-db"
    ranked = Said(
        "yes" if in_target or "target_leads" in made.says_yes else "no",
        f"{made.component} explains the metrics best (0.72)",
        {"services": [{"service": made.component, "probability": 0.72 + variant / 50, "score": 8.1}], "metrics": []},
        SECONDS["causal"],
    )
    quiet = Said("not_visible", "the metrics single out no service", {"services": []}, SECONDS["causal"])
    ranking = quiet if mechanism == "no_fault" else ranked
    said["causal:target_leads"] = ranking
    said["causal:any_leads"] = ranking if ranking is quiet else Said("yes", ranked.summary, ranked.data, ranked.seconds)
    for name in METRICS:
        yes = name in made.says_yes or (in_target and name == "symptoms_now")
        ratio = (3.1 if yes else 0.95) + variant / 20
        data = {"ratio": ratio, "service": made.component}
        said[f"metrics:{name}"] = Said("yes" if yes else "no", f"{name} x{ratio:.2f}", data, SECONDS["metrics"])
    changed = mechanism in {"bad_deploy", "missing_index"}
    changes = [{"service": made.component, "version": f"v{variant}", "summary": "a deploy", "at": ""}]
    said["changes:recent_change"] = Said(
        "yes" if changed else "no", "a deploy" if changed else "none", {"changes": changes if changed else []}, 0.02
    )
    return said


def _database(name: str, made: Made, variant: int) -> Said:
    seconds = 3.1 if name == "workload_sample" else SECONDS["database"]
    data: dict[str, Any] = {"share": 0.05 + variant / 100, "rows": 1000 + 37 * variant}
    if name == "workload_sample":
        return Said("yes", "a sample", {"window_s": 3.0, "statements": [], "tables": []}, seconds)
    if name not in made.says_yes:
        return Said("no", f"Not so: {name}", data, seconds)
    if name == "index_would_help":
        data = {**_TABLE, "cost_before": 41_000.0 + variant, "cost_after": 90.0, "validated": True}
    elif made.params is not None:
        action = {"kind": made.action, "params": dict(made.params)}
        data = {"findings": [{"incident": name, "severity": "critical", "action": action, "data": {}}]}
        data |= {"roots": [_BACKEND], "tables": [{"schema": "public", "table": "orders"}], "share": 0.8}
    else:
        data |= {"share": 0.93, "findings": []}
    return Said("yes", f"So it is: {name}", data, seconds)
