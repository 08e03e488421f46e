"""An alert's expression taken apart: the signal, the comparison, the threshold."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Signal:
    """`query` compared with `threshold`: the alert is on while the comparison holds."""

    query: str
    comparison: str
    threshold: float

    def breached(self, value: float) -> bool:
        return _COMPARE[self.comparison](value, self.threshold)

    def comparison_text(self) -> str:
        """The target: what must hold for the alert to be off."""
        return f"{_OPPOSITE[self.comparison]} {self.threshold:g}"

    def worse(self, value: float, than: float) -> bool:
        """Further on the wrong side of the threshold. Never true for == and !=, which have no direction."""
        if self.comparison in {">", ">="}:
            return value > than
        if self.comparison in {"<", "<="}:
            return value < than
        return False


def signal_of(expr: str) -> Signal | None:
    """The signal of a comparison with a number; None for any other expression, which we then cannot follow.

    A `bool` comparison always has a result, so as an alert it is always on: None.
    """
    try:
        tree = _inner(promql.parse(expr))
    except ValueError:
        return None
    if not isinstance(tree, promql.BinaryExpr) or str(tree.op) not in _COMPARE or tree.modifier is not None:
        return None
    left, right, comparison = _inner(tree.lhs), _inner(tree.rhs), str(tree.op)
    if isinstance(left, promql.NumberLiteral):
        left, right, comparison = right, left, _TURNED[comparison]
    if not isinstance(right, promql.NumberLiteral) or not math.isfinite(right.val):
        return None
    query = str(left.prettify()).strip()  # str() would leave out the escapes of label values
    return Signal(query, comparison, float(right.val)) if _parses(query) else None


def _parses(query: str) -> bool:
    try:
        promql.parse(query)
    except ValueError:
        return False
    return True


def _inner(tree: promql.Expr) -> promql.Expr:
    while isinstance(tree, promql.ParenExpr):
        tree = tree.expr
    return tree
