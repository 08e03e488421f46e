"""The second reading of the read-only guard: what kind of statement sqlglot sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.sql.readonly import Blocked, check_function_name
from guardrails.sql.tree import tree

if TYPE_CHECKING:
    from guardrails.sql.lex import Token

_FORBIDDEN_NODES: tuple[type, ...] = (
    exp.DML,
    exp.DDL,
    exp.Command,
    exp.Into,
    exp.Lock,
    exp.Drop,
    exp.Alter,
    exp.Copy,
    exp.Set,
    exp.Use,
    exp.Pragma,
    exp.Transaction,
    exp.Commit,
    exp.Rollback,
    exp.Kill,
    exp.Placeholder,
)
_LOOKED_AT: tuple[type, ...] = (*_FORBIDDEN_NODES, exp.TableAlias, exp.Anonymous, exp.AnonymousAggFunc)
_SPECIAL: dict[type, bool] = {}
"""Whether a class of nodes is one of those: asked once a class, since a query has hundreds of nodes."""


def check_tree(tokens: tuple[Token, ...]) -> dict[str, int]:
    """How often each alias brings column names along, if this is a query through and through.

    Raises:
        Unreadable: sqlglot does not understand it.
        Blocked: it writes, locks or calls something unknown anywhere in the tree.
    """
    parsed = tree(tokens)
    if not isinstance(parsed, exp.Query | exp.Values):
        raise Blocked("not a query")
    aliases: dict[str, int] = {}
    for node in parsed.walk():
        kind = type(node)
        special = _SPECIAL.get(kind)
        if special is None:
            special = _SPECIAL[kind] = issubclass(kind, _LOOKED_AT)
        if special:
            _check_node(node, aliases)
    return aliases


def _check_node(node: exp.Expr, aliases: dict[str, int]) -> None:
    if isinstance(node, _FORBIDDEN_NODES):
        raise Blocked(f"{type(node).__name__.upper()} inside a query")
    if isinstance(node, exp.TableAlias):
        if node.columns:
            aliases[node.name] = aliases.get(node.name, 0) + 1
    elif node.name.lower() != "current_setting":
        check_function_name(node.name.lower())
