"""May this statement run on a diagnosis connection? Two readings have to agree: our tokens and sqlglot's tree.

The tokens decide which functions, types, operators and relations are named, since they follow PostgreSQL's own lexical
rules; the tree decides what kind of statement it is. Behind this stand the role's rights, a READ ONLY transaction, the
extended protocol and `search_path = pg_catalog`, because functions and operators of users and views that call them are
known only to the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from guardrails.sql.functions import OTHER_BUILT_IN, READABLE, READABLE_ANYWHERE
from guardrails.sql.identifier import KEYWORDS
from guardrails.sql.lex import Token, Unreadable
from guardrails.sql.parse import one_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET_RELATIONS = frozenset(
    """
    pg_authid pg_shadow pg_user_mapping pg_user_mappings user_mapping_options _pg_user_mappings pg_subscription
    pg_largeobject pg_hba_file_rules pg_ident_file_mappings pg_file_settings pg_statistic pg_statistic_ext_data
    pg_dist_authinfo
    """.split()  # noqa: SIM905 a list of names reads better as text
)
"""Relations with password hashes, connection strings or samples of data, whatever the role may read."""

SECRET_SETTINGS = frozenset({"primary_conninfo", "ssl_passphrase_command", "archive_command", "restore_command"})

TYPES = frozenset(
    """
    aclitem bigint bit bool boolean box bpchar bytea char character cid cidr circle date datemultirange daterange dec
    decimal double float float4 float8 inet int int2 int2vector int4 int4multirange int4range int8 int8multirange
    int8range integer interval json jsonb jsonpath line lseg macaddr macaddr8 money name national nchar numeric
    nummultirange numrange oid oidvector path pg_dependencies pg_lsn pg_mcv_list pg_ndistinct pg_node_tree pg_snapshot
    point polygon real record refcursor regclass regcollation regconfig regdictionary regnamespace regoper regoperator
    regproc regprocedure regrole regtype smallint text tid time timestamp timestamptz timetz tsmultirange tsquery
    tsrange tstzmultirange tstzrange tsvector txid_snapshot uuid varbit varchar xid xid8 xml
    _text _int2 _int4 _int8 _oid _name _float4 _float8 _char _regclass _bool _numeric
    """.split()  # noqa: SIM905 a list of names reads better as text
)
OPERATORS = frozenset(
    """
    !! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> << <<= <<| <= <>
    <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~
    ~~ ~~* != =>
    """.split()  # noqa: SIM905 a list of names reads better as text
)
"""Built-in operators (pg_operator of 15 to 18), `!=` and the named-argument arrow."""

_AFTER: dict[str, frozenset[str]] = {
    "by": frozenset({"order", "partition", "group"}),
    "over": frozenset({")"}),
    "filter": frozenset({")"}),
    "repeatable": frozenset({")"}),
    "sets": frozenset({"grouping"}),
    "rollup": frozenset({"by", ","}),
    "cube": frozenset({"by", ","}),
    "materialized": frozenset({"as", "not"}),
    "zone": frozenset({"time"}),
    "first": frozenset({"fetch"}),
    "next": frozenset({"fetch"}),
    "varying": frozenset({"bit", "character", "char"}),
}
"""Words that are grammar before a bracket only after these; elsewhere a function of users may have the name."""
_FUNCTION_KEYWORDS = frozenset(
    """
    authorization binary collation concurrently cross freeze full ilike inner is isnull join like natural notnull outer
    overlaps similar tablesample verbose
    """.split()  # noqa: SIM905 a list of names reads better as text
)
"""Keywords that PostgreSQL takes for a function's name where an expression begins (catcode T)."""
_ENDS_AN_OPERAND = frozenset(
    {"natural", "null", "true", "false", "end", "not", "inner", "left", "right", "full", "outer", "cross"}
)
_CALLED_KEYWORDS = frozenset(
    """
    coalesce nullif greatest least normalize overlay position substring treat trim xmlconcat xmlelement xmlforest
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_value
    merge_action grouping extract cast collation current_schema left right
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_BLOCKED_KEYWORDS = frozenset(
    {"into", "xmlparse", "xmlserialize", "xmltable", "xmlpi", "xmlroot", "xmlexists", "json_table"}
)
_BEFORE_STRING = KEYWORDS | frozenset({"by", "escape", "zone", "range", "rows", "groups", "uescape"})
_JSON_WORDS = frozenset({"key", "value", "passing"})
_MATERIALIZED = frozenset({"not", "materialized"})
_BEGIN_A_QUERY = (
    ["select"],
    ["with"],
    ["table"],
    ["("],
    ["values", "("],
    ["insert", "into"],
    ["delete", "from"],
    ["merge", "into"],
)
_WRITES = frozenset(
    {"insert", "update", "delete", "merge", "create", "drop", "alter", "copy", "truncate", "do", "call"}
)
_EXPLAIN_WORDS = frozenset({"analyze", "analyse", "verbose"})
_EXPLAIN_OPTIONS = frozenset(
    {"analyze", "verbose", "costs", "settings", "generic_plan", "buffers", "serialize", "wal", "timing", "summary"}
    | {"memory", "format"}
)
_EXPLAIN_VALUES = frozenset({"true", "false", "on", "off", "1", "0", "text", "xml", "json", "yaml", "none", "binary"})

_CASTS = frozenset({"cast", "treat"})
_LOOKED_AT = _BLOCKED_KEYWORDS | _CASTS | {"for"}
_SUSPICIOUS = _LOOKED_AT | SECRET_RELATIONS
_HARMLESS = frozenset({",", ")", "[", "]"})
_DECIDED = READABLE | OTHER_BUILT_IN

Answer: TypeAlias = Literal["allow", "block"]


@dataclass(frozen=True, slots=True)
class ReadonlyVerdict:
    """reason is empty when allowed."""

    verdict: Answer
    reason: str = ""


class Blocked(Exception):
    """The reason why a statement may not run, on its way to check_readonly()."""


def check_readonly(sql: str) -> ReadonlyVerdict:
    """Whether exactly one statement is there that only looks. Parameters ($1) are welcome; never raises."""
    try:
        _check(one_statement(sql))
    except (Blocked, Unreadable) as reason:
        return ReadonlyVerdict("block", str(reason))
    return ReadonlyVerdict("allow")


def _check(tokens: tuple[Token, ...]) -> None:
    first = tokens[0]
    match first.value if first.kind == "word" else first.text:
        case "explain":
            _check(_explained(tokens))
        case "show":
            _check_show(tokens)
        case "table":
            _check_query((*SELECT_ALL_FROM, *tokens[1:]))
        case "select" | "with" | "values" | "(":
            _check_query(tokens)
        case _:
            raise Blocked(f"{first.text.upper()[:30]} is no query")


def _check_query(tokens: tuple[Token, ...]) -> None:
    from guardrails.sql.readonly_tree import check_tree  # noqa: PLC0415 sqlglot takes a quarter second to load

    aliases = check_tree(tokens)
    following = [text for _kind, text, _value, _start in tokens]
    following.append("")
    for index, (kind, text, value, _start) in enumerate(tokens):
        if kind == "word" or kind == "name":  # noqa: PLR1714 twice as fast, for half of all tokens
            if following[index + 1] == "(" or value in _SUSPICIOUS:
                _check_named(tokens, index, aliases)
        elif kind == "punctuation":
            if text not in _HARMLESS:
                _check_punctuation(tokens, index)
        elif kind == "operator":
            if text not in OPERATORS:
                raise Blocked(f"the operator {text[:20]} is not built in")
        elif kind == "string" and index:
            _check_typed_string(tokens, index - 1)


def _check_named(tokens: Sequence[Token], index: int, aliases: dict[str, int]) -> None:
    """A word or quoted name: a secret, a lock, a cast, a call."""
    kind, _text, value, _start = tokens[index]
    if value in SECRET_RELATIONS:
        raise Blocked(f"{value} holds secrets")
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if kind == "word" and value in _LOOKED_AT:
        _check_keyword(value, after)
        if value in _CASTS and after is not None:
            _check_type_at(tokens, _cast_type(tokens, index + 1))
    if after is not None and after.text == "(":
        _check_call(tokens, index, aliases)


def _check_punctuation(tokens: Sequence[Token], index: int) -> None:
    match tokens[index].text:
        case ":=" | "..":
            raise Blocked(f"{tokens[index].text} belongs in no query")
        case "::":
            _check_type_at(tokens, index + 1)
        case ".":
            _check_attribute(tokens, index)
        case "(" if index + 1 < len(tokens) and tokens[index + 1].value in _WRITES:
            _check_write_after_bracket(tokens, index)


def _check_keyword(word: str, after: Token | None) -> None:
    if word in _BLOCKED_KEYWORDS:
        raise Blocked(f"{word.upper()} is not allowed in a query")
    if word == "for" and after is not None and after.value in ("update", "share", "no", "key"):
        raise Blocked("FOR UPDATE and FOR SHARE lock rows")


def _check_call(tokens: Sequence[Token], index: int, aliases: dict[str, int]) -> None:
    """A word before a bracket: grammar, a type's length, an alias with columns, or a function."""
    token = tokens[index]
    before = tokens[index - 1] if index else None
    if before is not None and before.text == ".":
        _check_qualified(tokens, index)
        return
    if token.kind == "word" and is_grammar(token.value, before):
        return
    if before is not None and before.kind == "word" and before.value == "as":
        return
    if aliases.get(token.value) and token.value not in OTHER_BUILT_IN and names_columns(tokens, index):
        aliases[token.value] -= 1  # each alias of the tree stands for one place, so that a call cannot hide behind it
        return
    if token.value == "current_setting":
        _check_setting(tokens[index + 2 : index + 4])
        return
    check_function_name(token.value)


def is_grammar(word: str, before: Token | None) -> bool:
    """Whether the bracket after this unquoted word belongs to the grammar or to a type, not to a function."""
    if word in _CALLED_KEYWORDS or word in TYPES:
        return True
    if word in _FUNCTION_KEYWORDS or word == "escape":
        return _after_an_operand(before)
    if word in KEYWORDS:
        return word not in _DECIDED
    return before is not None and before.value in _AFTER.get(word, ())


def _after_an_operand(before: Token | None) -> bool:
    """Whether an expression or relation has just ended, so that a keyword here is an operator or a join."""
    if before is None:
        return False
    if before.kind == "word":
        name = before.value not in KEYWORDS and before.value not in _AFTER
        return name or before.value in _ENDS_AN_OPERAND
    return before.kind in ("name", "string", "number", "parameter") or before.text in (")", "]")


def _check_setting(arguments: Sequence[Token]) -> None:
    """current_setting() of a name written out, so that a secret one shows."""
    if len(arguments) < 2 or arguments[0].kind != "string" or arguments[1].text not in (")", ","):  # noqa: PLR2004 name, end
        raise Blocked("current_setting of a name that is not written out")
    if arguments[0].value.lower() in SECRET_SETTINGS:
        raise Blocked(f"{arguments[0].value} may hold a secret")


def _check_qualified(tokens: Sequence[Token], index: int) -> None:
    schema = tokens[index - 2] if index > 1 else None
    longer = index > 2 and tokens[index - 3].text == "."  # noqa: PLR2004 schema, dot, name
    name = tokens[index].value
    if schema is None or longer or schema.kind not in ("word", "name"):
        raise Blocked(f"the function {name} is not named by schema and name")
    if name in READABLE_ANYWHERE:
        return
    if schema.value != "pg_catalog":
        raise Blocked(f"the function {schema.value}.{name} is not built in")
    if name == "current_setting":
        _check_setting(tokens[index + 2 : index + 4])
        return
    check_function_name(name)


def check_function_name(name: str) -> None:
    if name in READABLE or name in READABLE_ANYWHERE:
        return
    if name in OTHER_BUILT_IN:
        raise Blocked(f"the function {name} does more than read")
    raise Blocked(f"the function {name} is not known to only read")


def _check_write_after_bracket(tokens: Sequence[Token], index: int) -> None:
    after = tokens[index + 2] if index + 2 < len(tokens) else None
    if after is None or after.kind in ("word", "name"):
        raise Blocked(f"{tokens[index + 1].text.upper()} inside a query")


def _check_type_at(tokens: Sequence[Token], index: int) -> None:
    parts = [token for token in tokens[index : index + 3] if token.kind in ("word", "name") or token.text == "."]
    if not parts:
        raise Blocked("a cast to no type")
    if len(parts) > 2 and parts[1].text == ".":  # noqa: PLR2004 schema, dot, name
        if parts[0].value != "pg_catalog":
            raise Blocked(f"the type {parts[0].value}.{parts[2].value} is not built in")
        parts = parts[2:]
    if parts[0].value not in TYPES:
        raise Blocked(f"the type {parts[0].value} is not built in")


def _cast_type(tokens: Sequence[Token], opening: int) -> int:
    """Where the type of CAST(… AS type) stands."""
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].text
        depth += (text in "([") - (text in ")]") if tokens[index].kind == "punctuation" else 0
        if depth == 1 and tokens[index].kind == "word" and tokens[index].value == "as":
            return index + 1
        if not depth:
            break
    raise Blocked("a CAST without AS")


def _check_typed_string(tokens: Sequence[Token], before: int) -> None:
    """`typename 'text'` is a cast too."""
    token = tokens[before]
    if token.kind == "name" or (token.kind == "word" and token.value not in _BEFORE_STRING):
        _check_type_at(tokens, before)
        if before and tokens[before - 1].text == ".":
            raise Blocked("a qualified type before a string")


def _check_attribute(tokens: Sequence[Token], dot: int) -> None:
    """`x.f` calls f(x) when x has no column f: so a name that does more than read may not follow a dot."""
    name = tokens[dot + 1] if dot + 1 < len(tokens) else None
    is_call = dot + 2 < len(tokens) and tokens[dot + 2].text == "("  # which _check_call() judges
    if name is not None and name.value in OTHER_BUILT_IN and not is_call:
        raise Blocked(f"the attribute {name.value} may be a call of that function")


def names_columns(tokens: Sequence[Token], index: int) -> bool:
    """Whether `name (a, b)` here gives an alias or a WITH query its columns, and so calls nothing."""
    closing = _end_of_names(tokens, index + 2)
    if closing is None or not index:
        return False
    before = tokens[index - 1]
    if before.value in ("with", "recursive", ","):
        # `f(a) AS (values int)` calls f and names a column of its result: only what can be no column's name counts.
        after = [token.value for token in tokens[closing + 1 : closing + 7] if token.value not in _MATERIALIZED]
        return after[:2] == ["as", "("] and (after[2:3] in _BEGIN_A_QUERY or after[2:4] in _BEGIN_A_QUERY)
    if before.value in _BEFORE_STRING or before.value in _JSON_WORDS:
        return before.value == "as"
    return _after_an_operand(before)


def _end_of_names(tokens: Sequence[Token], index: int) -> int | None:
    """Where the bracket closes round nothing but names divided by commas."""
    while index < len(tokens) and tokens[index].kind in ("word", "name"):
        index += 1
        if index < len(tokens) and tokens[index].text == ")":
            return index
        if index >= len(tokens) or tokens[index].text != ",":
            return None
        index += 1
    return None


def _explained(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The statement after EXPLAIN and its options."""
    rest = tokens[1:]
    if rest and rest[0].text == "(" and rest[1:2] and rest[1].value in _EXPLAIN_OPTIONS:
        closing = next((index for index, token in enumerate(rest) if token.text == ")"), None)
        if closing is None:
            raise Blocked("EXPLAIN options without an end")
        for token in rest[1:closing]:
            if token.text != "," and token.value not in _EXPLAIN_OPTIONS | _EXPLAIN_VALUES:
                raise Blocked(f"the EXPLAIN option {token.text[:20]} is not known")
        rest = rest[closing + 1 :]
    else:
        while rest and rest[0].kind == "word" and rest[0].value in _EXPLAIN_WORDS:
            rest = rest[1:]
    if not rest or rest[0].value == "explain":
        raise Blocked("EXPLAIN of nothing")
    return rest


def _check_show(tokens: Sequence[Token]) -> None:
    names = tokens[1:]
    if not names or any(token.kind not in ("word", "name") and token.text != "." for token in names):
        raise Blocked("SHOW takes the name of a setting")
    if any(token.value.lower() in SECRET_SETTINGS for token in names):
        raise Blocked(f"{names[-1].value} may hold a secret")


SELECT_ALL_FROM = (
    Token("word", "SELECT", "select", 0),
    Token("operator", "*", "*", 0),
    Token("word", "FROM", "from", 0),
)
