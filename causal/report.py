"""The ranking as data for a page or a line of JSON, and as text for a person."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from causal.attribution import Attribution, NotAttributed

if TYPE_CHECKING:
    from causal.rank import RankedMetric, Ranking

MAX_METRICS = 50  # series listed; the rest were less unusual
_LISTED = 3  # causes and series in the text


def as_data(ranking: Ranking, attribution: Attribution | NotAttributed | None = None) -> dict[str, Any]:
    """JSON-ready: no NaN and no infinity, those become null. `attribution` is null when it was not asked for."""
    data = asdict(ranking)
    data["metrics"] = data["metrics"][:MAX_METRICS]
    match attribution:
        case None:
            data["attribution"] = None
        case NotAttributed(reason):
            data["attribution"] = {"reason": reason}
        case Attribution():
            data["attribution"] = asdict(attribution) | {
                "target": str(attribution.target),
                "shares": [asdict(share) | {"series": str(share.series)} for share in attribution.shares],
            }
    return {key: _plain(value) for key, value in data.items()}


def as_text(ranking: Ranking, attribution: Attribution | NotAttributed | None = None) -> str:
    """A few lines: the cause and how sure, the series behind it, what was ruled out, what could not be seen."""
    lines = [_headline(ranking)]
    lines += ["calls: " + " → ".join(path) for path in ranking.paths[:1]]
    lines += [_series(metric) for metric in ranking.metrics[:_LISTED]]
    lines += [f"ruled out: {out.service}, {out.why}" for out in ranking.ruled_out]
    if ranking.not_visible:
        lines.append("not visible in these metrics: " + ", ".join(ranking.not_visible))
    match attribution:
        case NotAttributed(reason):
            lines.append(f"not attributed: {reason}")
        case Attribution():
            lines += _parts(attribution)
        case None:
            pass
    return "\n".join(lines)


def _headline(ranking: Ranking) -> str:
    if not ranking.services:
        return "no cause: there is no series to judge"
    first = ranking.services[0]
    if ranking.abstained:
        return f"no cause stands out; the least unlikely is {first.service} ({first.probability:.0%})"
    rest = ", ".join(f"{s.service} {s.probability:.0%}" for s in ranking.services[1:_LISTED])
    return f"cause: {first.service} ({first.probability:.0%})" + (f"; then {rest}" if rest else "")


def _series(metric: RankedMetric) -> str:
    way = "rose" if metric.shift > 0 else "fell"
    values = f"from {metric.before:.4g} to {metric.during:.4g}"
    return f"{metric.service} {metric.metric} {way} {values} ({metric.shift:+.1f} robust sigmas)"


def _parts(attribution: Attribution) -> list[str]:
    lines = [f"{attribution.target} moved by {attribution.change:+.4g}, of which"]
    for share in attribution.shares:
        doubt = " (refuted: normal life shows as much)" if share.refuted else ""
        lines.append(f"  {share.effect:+.4g} [{share.low:+.4g}, {share.high:+.4g}] from {share.series}{doubt}")
    return [*lines, f"  {attribution.unexplained:+.4g} unexplained"]


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
