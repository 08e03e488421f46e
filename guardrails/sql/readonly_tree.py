"""The second reading of the read-only guard: what kind of statement sqlglot sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.sql.readonly import Blocked, check_function_name
from guardrails.sql.tree import let_go, tree

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


class _Classes(dict[type, int]):
    """What an argument of a class is, asked once a class, since a query has hundreds of them: 0 no node, 1 a node, 2 a
    node that is looked at.
    """

    def __missing__(self, kind: type) -> int:
        self[kind] = found = issubclass(kind, exp.Expr) + issubclass(kind, _LOOKED_AT)
        return found


_CLASSES = _Classes()


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
    nodes: list[exp.Expr] = [parsed]
    if _CLASSES[type(parsed)] > 1:
        _check_node(parsed, aliases)
    for node in nodes:  # as Expression.walk() does, without its generators
        for value in node.args.values():
            kind = type(value)
            if kind is list:
                below = [item for item in value if _CLASSES[type(item)]]
            elif _CLASSES[kind]:
                below = [value]
            else:
                continue
            nodes += below
            for item in below:
                if _CLASSES[type(item)] > 1:
                    _check_node(item, aliases)
    let_go(nodes)
    return aliases


def _check_node(node: exp.Expr, aliases: dict[str, int]) -> None:
    if isinstance(node, _FORBIDDEN_NODES):
        raise Blocked(f"{type(node).__name__.upper()} inside a query")
    if isinstance(node, exp.TableAlias):
        if node.columns:
            aliases[node.name] = aliases.get(node.name, 0) + 1
    elif node.name.lower() != "current_setting":
        check_function_name(node.name.lower())
