"""A replay told: as a line, as a story of its checks, and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.replay.play import Played
    from lab.recordings.recording import Recording

_SUMMARY_CHARS = 110


def as_data(recording: Recording, played: Played) -> dict[str, Any]:
    truth, alert = recording.truth, recording.alert
    return {
        "recording": recording.id,
        "fault": recording.fault,
        "alert": alert.labels.get("alertname", ""),
        "service": recording.service,
        "truth": {
            "component": truth.component,
            "mechanism": truth.mechanism,
            "action": truth.action,
            "restore_s": truth.restore_s,
            "also": [list(one) for one in truth.also],
        },
        "skill": played.skill,
        "cause": played.cause,
        "component": played.component,
        "probability": round(played.probability, 4),
        "mechanism_right": played.mechanism_right,
        "component_right": played.component_right,
        "action": played.action,
        "wrong_fix": played.wrong_fix,
        "harm": played.harm,
        "refused": list(played.refused),
        "checks": [
            {"check": one.check, "at_s": round(one.at_s, 3), "status": one.status, "summary": one.summary}
            for one in played.trace
        ],
        "diagnose_s": played.diagnose_s,
        "mitigated": played.mitigated,
        "mitigate_s": round(played.mitigate_s, 3),
        "utility": round(played.utility, 4),
        "why": played.why,
    }


def as_line(recording: Recording, played: Played) -> str:
    said = played.cause or "no cause"
    mark = "right" if played.mechanism_right and played.component_right else "wrong" if played.cause else "open"
    did = f"{played.action}{' (wrong fix)' if played.wrong_fix else ''}" if played.action else "nothing"
    end = f"{played.mitigate_s:.0f} s" if played.mitigated else "not mitigated"
    alert = recording.alert.labels.get("alertname", "")
    return f"{recording.id:40} {alert:24} {mark:5} {said:22} {did:34} {end}"


def as_text(recording: Recording, played: Played) -> str:
    truth, alert = recording.truth, recording.alert
    action = f"repaired by {truth.action} in {truth.restore_s or 0:.0f} s" if truth.action else "no action may be taken"
    after_s = alert.fired_at - alert.injected_at
    lines = [
        f"{recording.id}: {alert.labels.get('alertname', '')} of {recording.service}, {after_s:.0f} s after the fault",
        f"truth: {truth.mechanism} in {truth.component}; {action}",
        f"skill: {played.skill}",
        *(f"{one.at_s:7.1f} s  {one.check:28} {one.status:11} {_short(one.summary)}" for one in played.trace),
    ]
    if played.diagnose_s is not None:
        right = "right" if played.mechanism_right and played.component_right else "wrong"
        where = played.component or "nobody can say where"
        lines.append(f"{played.diagnose_s:7.1f} s  {played.cause} in {where}, {played.probability:.2f} sure: {right}")
    lines.append(f"{played.mitigate_s:7.1f} s  {_end(played)}")
    return "\n".join(lines)


def _end(played: Played) -> str:
    if played.refused:
        return f"no action: {played.refused[0]}"
    if played.action is None:
        return "handed over with the right cause" if played.mitigated else f"not mitigated: {_short(played.why)}"
    return f"{played.action}: " + ("the signal is back" if played.mitigated else "a wrong fix")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SUMMARY_CHARS else f"{text[:_SUMMARY_CHARS]}…"
