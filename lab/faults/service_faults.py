"""The faults that lie in the shop's services and its traffic, and what only looks like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults.controlled import Controlled
from lab.faults.fault import Change

if TYPE_CHECKING:
    from lab.faults.fault import Fault

LASTS_S = 300.0
"""When nobody undoes it."""

SERVICE_FAULTS: tuple[Fault, ...] = (
    Controlled(
        name="bad-deploy",
        component="catalog",
        mechanism="the new version of catalog answers many requests with 500",
        mechanism_id="bad_deploy",
        alerts=("StorefrontErrors",),
        process="catalog",
        order={"kind": "errors", "share": 0.6, "version": "catalog-881", "seconds": LASTS_S},
        change=Change(service="catalog", version="catalog-881", summary="recommendations beside each product"),
    ),
    Controlled(
        name="slow-dependency",
        component="payments",
        mechanism="payments takes over a second for every answer",
        mechanism_id="slow_dependency",
        alerts=("StorefrontSlow",),
        process="payments",
        order={"kind": "latency", "wait_s": 1.2, "seconds": LASTS_S},
    ),
    Controlled(
        name="cpu-hog",
        component="orders",
        mechanism="threads that compute leave the orders process no time to answer",
        mechanism_id="cpu_saturation",
        alerts=("StorefrontSlow", "StorefrontErrors", "OrdersSlow"),
        process="orders",
        order={"kind": "cpu", "threads": 2, "seconds": LASTS_S},
    ),
    Controlled(
        name="catalog-cpu-hog",
        component="catalog",
        mechanism="threads that compute leave the catalog process no time to answer",
        mechanism_id="cpu_saturation",
        alerts=("StorefrontSlow", "CatalogSlow", "StorefrontErrors"),
        process="catalog",
        order={"kind": "cpu", "threads": 2, "seconds": LASTS_S},
    ),
    Controlled(
        name="connection-leak",
        component="catalog",
        mechanism="catalog opens connections and returns none, until the server has hardly any left",
        mechanism_id="connection_leak",
        alerts=("DatabaseConnectionsHigh",),
        process="catalog",
        order={"kind": "leak", "pool": "products", "leave": 2, "seconds": LASTS_S},
    ),
    Controlled(
        name="pool-leak",
        component="orders",
        mechanism="orders returns none of its connections for reading, so each list of orders waits for one in vain",
        mechanism_id="connection_leak",
        alerts=("StorefrontSlow", "StorefrontErrors", "OrdersSlow"),
        process="orders",
        order={"kind": "leak", "pool": "read", "leave": 0, "seconds": LASTS_S},
    ),
    Controlled(
        name="traffic-surge",
        component="storefront",
        mechanism="three times as many customers as usual; the card network takes no more at a time",
        mechanism_id="traffic_surge",
        alerts=("StorefrontSlow",),
        process="load",
        order={"kind": "surge", "factor": 3.0, "seconds": 60.0},
    ),
    # A rule of five seconds over a window of eight is pending long after a pause of two is over.
    Controlled(
        name="blip",
        component="storefront",
        mechanism="one pause of the card network, over before the alert fires",
        mechanism_id="no_fault",
        alerts=("StorefrontSlow",),
        process="payments",
        order={"kind": "latency", "wait_s": 1.2, "seconds": 2.0},
    ),
    # BillingLate knows nothing of the plan that no invoices are made while the month ends.
    Controlled(
        name="month-end",
        component="billing",
        mechanism="the planned run over all orders at the end of the month, which nobody waits for",
        mechanism_id="no_fault",
        alerts=("BillingLate",),
        process="billing",
        order={"kind": "month_end", "seconds": 40.0},
    ),
)
