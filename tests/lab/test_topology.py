"""What the shop says of itself before it runs."""

from __future__ import annotations

from dataclasses import astuple

from lab import monitoring
from lab.topology import Ports


def test_no_two_processes_share_a_port() -> None:
    assert len(set(astuple(Ports.free()))) == len(astuple(Ports.free()))


def test_every_service_of_the_graph_is_scraped() -> None:
    scraped = set(Ports(1, 2, 3, 4, 5, 6, 7).scrape_targets())

    assert {service for edge in monitoring.SERVICE_GRAPH for service in edge} <= scraped
