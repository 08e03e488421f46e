"""What a metric measures, read from the words the field uses in metric names (never from the name of a service).

The four golden signals (SRE book, chapter 6) and what runs below them. A name that says nothing is a resource: its
change is charged to the service that shows it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache


class Kind(Enum):
    LATENCY = "latency"  # of the requests a service answers
    CLIENT_LATENCY = "client latency"  # of the requests a service makes: its callees and the way to them
    ERRORS = "errors"  # more is worse
    SUCCESS = "success"  # less is worse
    TRAFFIC = "traffic"
    HOST = "host"  # of a machine that others share
    RESOURCE = "resource"


_WORDS = (
    (Kind.SUCCESS, r"success|availab"),
    (Kind.ERRORS, r"error|fail|5xx|exception|timeout"),
    (Kind.CLIENT_LATENCY, r"(client|outbound|egress|upstream).*(latenc|duration)|(latenc|duration).*(client|outbound)"),
    (Kind.LATENCY, r"latenc|duration|response.?time|(^|_)rt($|_)|rtt|elapsed"),
    (Kind.TRAFFIC, r"request|(^|[^a-z])(ops|qps|rps|tps)|workload|throughput|calls|(^|_)load($|_)|traffic|hits"),
    (Kind.HOST, r"^node|^host|^machine"),
)
_PATTERNS = tuple((kind, re.compile(words, re.IGNORECASE)) for kind, words in _WORDS)
_QUANTILE = re.compile(r"p\d\d|quantile|median|percentile|max|(^|[^\d])0?\.\d|_(50|75|90|95|99)\b", re.IGNORECASE)


@cache
def kind_of(metric: str) -> Kind:
    return next((kind for kind, pattern in _PATTERNS if pattern.search(metric)), Kind.RESOURCE)


@cache
def is_mean(metric: str) -> bool:
    """False for quantiles: their sums over services mean nothing."""
    return _QUANTILE.search(metric) is None
