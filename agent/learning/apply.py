"""A typed edit applied to a candidate's files: exactly the change it names, or a refusal that says why.

Nothing here decides whether the edit is any good.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.brain.parameters import RANGES
from agent.learning.edits import Edit, UnusableEdit
from agent.learning.tree import (
    COUNTS,
    DIAGNOSIS,
    LESSONS,
    PROSE,
    REMEDIATION,
    Tree,
    document,
    folders_of,
    hash_of,
    written,
)
from agent.replay.case import MECHANISMS
from agent.runbook.skill import COMPONENTS, NONE_OF_THESE, UNRELATED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALL_SKILLS = "*"
GENERIC = "generic-triage"
STRENGTHS = ("strong", "weak", "against", UNRELATED)


class StaleEdit(UnusableEdit):
    """The files are no longer those the edit was made against; it is made anew or not at all."""


class ConflictingEdit(UnusableEdit):
    """The edit cannot be done to these files: what it names is not there, or is there already."""


class ChangesNothing(ConflictingEdit):
    """The files say already what the edit would make them say."""


def paths_of(edit_op: str, skill: str, tree: Mapping[str, str]) -> tuple[str, ...]:
    """The files an edit changes, by path. Raises ConflictingEdit for a skill that is not there."""
    folders = folders_of(tree)
    names = sorted(folders) if skill == ALL_SKILLS else [skill]
    if missing := [name for name in names if name not in folders]:
        raise ConflictingEdit(f"there is no skill {missing[0]!r}")
    if edit_op == "archive_skill":
        return tuple(sorted(f"{name}/{path}" for name in names for path in folders[name]))
    return tuple(f"{name}/{_FILE.get(edit_op, DIAGNOSIS)}" for name in names)


_FILE = {
    "set_counts": COUNTS,
    "set_remediation_rank": REMEDIATION,
    "add_remediation": REMEDIATION,
    "add_negative_lesson": LESSONS,
    "expire_lesson": LESSONS,
    "edit_prose": PROSE,
}


def apply(edit: Edit, tree: Mapping[str, str]) -> Tree:
    """The candidate with the edit. Its skills are not yet known to be usable: reading them says so.

    Raises:
        StaleEdit: the files changed since the edit was made.
        ConflictingEdit: what it names is not there, or is there already, or is what it says already.
        UnusableEdit: its arguments are none.
    """
    paths = paths_of(edit.op, edit.skill, tree)
    if edit.before != hash_of(tree, paths):
        raise StaleEdit(f"{edit.op} on {edit.skill} was made against other files than these")
    after = dict(tree)
    try:
        for path in paths:
            _change(edit, path, after)
    except (KeyError, TypeError, AttributeError, IndexError) as wrong:
        raise UnusableEdit(f"{edit.op}: its arguments cannot be used: {wrong}") from wrong
    if after == dict(tree):
        raise ChangesNothing(f"{edit.op} on {edit.skill} changes nothing")
    return after


def _change(edit: Edit, path: str, files: Tree) -> None:
    skill = path.partition("/")[0]
    match edit.op:
        case "set_counts":
            counted: Any = edit.args["counts"]
            if skill in counted:
                files[path] = json.dumps(counted[skill], sort_keys=True, allow_nan=False) + "\n"
        case "archive_skill":
            if edit.skill in {ALL_SKILLS, GENERIC}:
                raise ConflictingEdit("the generic skill stays: it takes what no other fits")
            del files[path]
        case "edit_prose":
            files[path] = _prose(files[path], edit.args)
        case _:
            body = document(files[path])
            _OPERATORS[edit.op](body, edit.args)
            files[path] = written(path, body)


def _prose(text: str, args: Mapping[str, Any]) -> str:
    find, instead = str(args["find"]), str(args["replace"])
    if not find or text.count(find) != 1:
        raise ConflictingEdit("the passage to replace is not there exactly once")
    return text.replace(find, instead)


# --- Diagnosis ---------------------------------------------------------------------------------------------------


def _reorder_first(body: Any, args: Mapping[str, Any]) -> None:
    """Also of checks that it takes from those it is composed with: reading the skill refuses what nobody has."""
    names = [str(name) for name in args["first"]]
    if len(set(names)) != len(names) or not names:
        raise UnusableEdit("first names each check once, and at least one")
    body["first"] = names


def _set_stop(body: Any, args: Mapping[str, Any]) -> None:
    field, value = args["field"], args["value"]
    if field not in body["stop"]:
        raise ConflictingEdit(f"stop has no {field!r}")
    body["stop"][field] = value


def _set_prior(body: Any, args: Mapping[str, Any]) -> None:
    prior = float(args["prior"])
    if not 0.01 <= prior <= 0.9:  # noqa: PLR2004 no cause is impossible and none certain before anybody looked
        raise UnusableEdit("a prior lies in 0.01 to 0.9")
    _cause(body, args["cause"])["prior"] = prior


def _add_check(body: Any, args: Mapping[str, Any]) -> None:
    check = dict(args["check"])
    if any(row["id"] == check["id"] for row in body["checks"]):
        raise ConflictingEdit(f"check {check['id']!r} is there already")
    body["checks"].append(check)


def _drop_check(body: Any, args: Mapping[str, Any]) -> None:
    gone = _check(body, args["check"])
    if any(gone["id"] in row.get("needs", ()) for row in body["checks"]):
        raise ConflictingEdit(f"another check needs {gone['id']}")
    body["checks"].remove(gone)
    body["first"] = [name for name in body["first"] if name != gone["id"]]


def _set_support_strength(body: Any, args: Mapping[str, Any]) -> None:
    supports = _check(body, args["check"]).get("supports", {})
    if args["cause"] not in supports:
        raise ConflictingEdit(f"{args['check']} says nothing about {args['cause']}")
    supports[args["cause"]] = _strength(args["strength"])


def _set_threshold(body: Any, args: Mapping[str, Any]) -> None:
    """Within the bounds that a person set; reading the skill refuses what lies outside."""
    check = _check(body, args["check"])
    if "predicate" not in check:
        raise ConflictingEdit(f"{args['check']} has no threshold")
    check["predicate"]["threshold"] = args["threshold"]


def _add_cause_link(body: Any, args: Mapping[str, Any]) -> None:
    check, strength = _check(body, args["check"]), _strength(args["strength"])
    if check.get("supports", {}).get(args["cause"], strength) != strength:
        raise ConflictingEdit(f"{args['check']} speaks about {args['cause']} already")
    check["supports"] = {**check.get("supports", {}), args["cause"]: strength}


def _add_cause(body: Any, args: Mapping[str, Any]) -> None:
    """A mechanism that is known but that this skill does not think of, with the checks that can see it."""
    cause = args["cause"]
    if cause not in MECHANISMS:
        raise UnusableEdit(f"{cause!r:.40} is no known mechanism")
    if cause in body["causes"]:
        raise ConflictingEdit(f"{cause} is a cause of it already")
    if not args["links"]:
        raise UnusableEdit("a cause that no check can see cannot be found")
    body["causes"][cause] = {
        "title": cause.replace("_", " ").capitalize(),
        "prior": float(args["prior"]),
        "component": _component(args["component"]),
    }
    for check, strength in args["links"].items():
        _add_cause_link(body, {"check": check, "cause": cause, "strength": strength})


def _drop_cause(body: Any, args: Mapping[str, Any]) -> None:
    cause = args["cause"]
    _cause(body, cause)
    if cause == NONE_OF_THESE:
        raise ConflictingEdit(f"{NONE_OF_THESE} stays: no list of causes is the whole world")
    del body["causes"][cause]
    for check in body["checks"]:
        check.get("supports", {}).pop(cause, None)


def _set_component(body: Any, args: Mapping[str, Any]) -> None:
    _cause(body, args["cause"])["component"] = _component(args["component"])


def _narrow_match(body: Any, args: Mapping[str, Any]) -> None:
    """Drops one matcher, or raises the bar."""
    match, rows = body["match"], body["match"]["any"]
    if "at_least" in args:
        bar = float(args["at_least"])
        if bar <= float(match.get("at_least", 1.0)):
            raise ConflictingEdit("a lower bar widens")
        match["at_least"] = bar
        return
    if args["drop"] not in rows:
        raise ConflictingEdit("there is no such matcher")
    rows.remove(args["drop"])


def _widen_match(body: Any, args: Mapping[str, Any]) -> None:
    rows = body.setdefault("match", {}).setdefault("any", [])
    if args["add"] in rows:
        raise ConflictingEdit("there is such a matcher already")
    rows.append(dict(args["add"]))


def _set_brain_param(body: Any, args: Mapping[str, Any]) -> None:
    if args["name"] not in RANGES:
        raise UnusableEdit(f"{args['name']!r:.40} is no parameter of the brain")
    body["brain"] = {**(body.get("brain") or {}), args["name"]: args["value"]}


# --- Remediation and lessons -------------------------------------------------------------------------------------


def _set_remediation_rank(body: Any, args: Mapping[str, Any]) -> None:
    """Within what is approved already: a permutation of one cause's remediations, the others stay where they are."""
    rows = body["remediations"]
    places = [place for place, row in enumerate(rows) if row["cause"] == args["cause"]]
    by_id = {rows[place]["id"]: rows[place] for place in places}
    if sorted(args["order"]) != sorted(by_id) or len(by_id) != len(places):
        raise ConflictingEdit(f"the order does not name exactly the remediations of {args['cause']}")
    for place, name in zip(places, args["order"], strict=True):
        rows[place] = by_id[name]


def _add_remediation(body: Any, args: Mapping[str, Any]) -> None:
    new = dict(args["remediation"])
    if any(row["id"] == new["id"] for row in body["remediations"]):
        raise ConflictingEdit(f"remediation {new['id']!r} is there already")
    body["remediations"] = [*body["remediations"], new]


def _add_negative_lesson(body: Any, args: Mapping[str, Any]) -> None:
    new = dict(args["lesson"])
    if any(row["id"] == new["id"] for row in body["lessons"]):
        raise ConflictingEdit(f"lesson {new['id']!r} is there already")
    body["lessons"] = [*body["lessons"], new]


def _expire_lesson(body: Any, args: Mapping[str, Any]) -> None:
    kept = [row for row in body["lessons"] if row["id"] != args["lesson"]]
    if len(kept) == len(body["lessons"]):
        raise ConflictingEdit(f"there is no lesson {args['lesson']!r}")
    body["lessons"] = kept


_OPERATORS: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "reorder_first": _reorder_first,
    "set_stop": _set_stop,
    "set_threshold": _set_threshold,
    "set_prior": _set_prior,
    "add_check": _add_check,
    "drop_check": _drop_check,
    "set_support_strength": _set_support_strength,
    "add_cause_link": _add_cause_link,
    "add_cause": _add_cause,
    "drop_cause": _drop_cause,
    "set_component": _set_component,
    "narrow_match": _narrow_match,
    "widen_match": _widen_match,
    "set_brain_param": _set_brain_param,
    "set_remediation_rank": _set_remediation_rank,
    "add_remediation": _add_remediation,
    "add_negative_lesson": _add_negative_lesson,
    "expire_lesson": _expire_lesson,
}


def _check(body: Any, name: Any) -> Any:
    found = next((row for row in body["checks"] if row["id"] == name), None)
    if found is None:
        raise ConflictingEdit(f"there is no check {name!r:.60}")
    return found


def _cause(body: Any, name: Any) -> Any:
    if name not in body["causes"]:
        raise ConflictingEdit(f"there is no cause {name!r:.60}")
    return body["causes"][name]


def _strength(word: Any) -> str:
    if word not in STRENGTHS:
        raise UnusableEdit(f"a strength is one of {', '.join(STRENGTHS)}")
    return str(word)


def _component(word: Any) -> str:
    if word not in COMPONENTS:
        raise UnusableEdit(f"a component is one of {', '.join(COMPONENTS)}")
    return str(word)
