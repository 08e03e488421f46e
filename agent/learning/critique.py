"""What a round says about itself: what was wrong, what was tried, what came of it, what comes next. One page for every
round, the reverted ones included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.postmortem import code, plain, quoted
from guardrails.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]


def page(row: Row) -> str:
    """Markdown of a round's ledger row. Free text of the edit is quoted, never markup."""
    lines = [f"# Round {row['round']}: {row['status'].replace('_', ' ')}", "", plain(row["why"]) + "."]
    lines += ["", "## What failed", "", *_failed(row["failures"])]
    edit = row["edit"]
    if edit is None:
        lines += ["", "## Next", "", "Nothing was left to try on these incidents; the next window has others."]
        return "\n".join(lines) + "\n"
    lines += ["", "## Hypothesis", "", f"{plain(edit['hypothesis'])}."]
    lines += [
        "",
        f"{quoted(edit['op'])} on {quoted(edit['skill'])}, tier {row['tier']}, edit {quoted(row['edit_id'][:12])}:",
    ]
    lines += ["", "```json", code(canonical(edit["args"]).decode()), "```"]
    lines += ["", "## Predicted and measured", "", *_held(row)]
    if row["strata"]:
        lines += ["", *_strata(row["strata"])]
    lines += ["", "## Next", "", _next(row)]
    return "\n".join(lines) + "\n"


def held(row: Row) -> bool | None:
    """Whether the sign of the prediction came true; None when nothing was measured."""
    if row["edit"] is None or not row["pairs"]:
        return None
    return bool(row["mean"] * row["edit"]["predicted"]["sign"] > 0)


def _failed(failures: Mapping[str, Any]) -> list[str]:
    if not failures:
        return ["No train incident of this window went wrong."]
    lines = ["| kind and skill | incidents | utility lost |", "|---|---|---|"]
    ranked = sorted(failures.items(), key=lambda item: (-item[1]["lost"], item[0]))
    return lines + [f"| {plain(name)} | {one['n']} | {one['lost']:.2f} |" for name, one in ranked[:8]]


def _held(row: Row) -> list[str]:
    predicted = row["edit"]["predicted"]
    said = (
        f"{predicted['metric'].replace('_', ' ')} {'+' if predicted['sign'] > 0 else '-'}{predicted['magnitude']:.4f}"
    )
    if not row["pairs"]:
        return [f"Predicted {said}. Nothing was measured: {plain(row['why'])}."]
    measured = (
        f"Predicted {said}; measured {row['mean']:+.4f} with {row['half_width']:.4f} either way, on {row['pairs']} "
        f"fresh pairs (e-value {row['e_value']:.3g}, wanted {1 / row['alpha']:.3g}). "
        f"The prediction {'held' if held(row) else 'did not hold'} in sign."
    )
    return [measured]


def _strata(strata: Mapping[str, Any]) -> list[str]:
    lines = ["| stratum | pairs | decided otherwise | right | wrong fixes | harms |", "|---|---|---|---|---|---|"]
    for name, one in sorted(strata.items()):
        parent, child = one["parent"], one["child"]
        lines.append(
            f"| {plain(name)} | {one['n']} | {one['changed']} | {parent['right']} → {child['right']} "
            f"| {parent['wrong_fixes']} → {child['wrong_fixes']} | {parent['harms']} → {child['harms']} |"
        )
    return lines


def _next(row: Row) -> str:
    match row["status"]:
        case "keep":
            return "It is part of the champion; the next round looks at what still fails with it."
        case "awaiting_review":
            return "A human reads the exact bytes (stanch learn review); until then the champion stays as it is."
        case "inconclusive":
            return (
                "Too small to show, or nothing: not tried again for 20 rounds on this parent, another operator or "
                "another kind of mistake comes first."
            )
        case "invalid":
            return "The proposer is told that this was no usable edit; it counts against the operator."
        case _:
            return "Not tried again for 20 rounds on this parent; the evidence counts against the operator."
