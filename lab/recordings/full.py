"""A recording answered anew: the checks over what the target said, the ranking over the samples, by today's code."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.causal_check import Around, pull
from lab.bench.cases import Case as RankCase
from lab.recordings.capture import asked, changes_of, of_metrics, window_before
from lab.recordings.tape import RecordedMetrics, RecordedReader

if TYPE_CHECKING:
    from agent.replay.case import Case, Said
    from lab.recordings.recording import Recording


def recomputed(recording: Recording) -> Case:
    """The case with every answer worked out again; its seconds are those recorded. Where the tape is empty (the target
    could not be asked), the recorded answers of the database stay.
    """
    metrics = RecordedMetrics(recording)
    looks: list[dict[str, Said]] = []
    for at, tape in zip(recording.looked_at, recording.tape, strict=False):
        here = replace(around(recording), end=datetime.fromtimestamp(at, UTC))
        found = of_metrics(metrics, here, seed=0)
        looks.append(found | (asked(RecordedReader(tape)) if tape else {}))
    answers = {
        name: tuple(
            replace(look[name], seconds=said[min(place, len(said) - 1)].seconds) if name in look else said[place]
            for place, look in enumerate(looks)
        )
        if looks
        else said
        for name, said in recording.answers.items()
    }
    return replace(recording.case(), answers=answers)


def around(recording: Recording) -> Around:
    """The alert and its surroundings as the recorder saw them."""
    alert = recording.alert
    fired = datetime.fromtimestamp(alert.fired_at, UTC)
    return Around(
        service=recording.service,
        target=recording.target,
        expr=alert.expr or None,
        start=window_before(alert.active_at),
        end=fired,
        impact_start=datetime.fromtimestamp(alert.active_at, UTC),
        detected=fired,
        step_s=recording.samples.step_s,
        metrics=recording.samples.families,
        graph=recording.graph,
        databases=() if recording.target is None else (recording.target,),
        changes=changes_of(recording.changes),
    )


def as_rank_case(recording: Recording) -> RankCase | None:
    """For the baselines that rank services by their series, as of the first look; None without samples."""
    here = replace(around(recording), end=datetime.fromtimestamp(recording.looked_at[0], UTC))
    frame, target = pull(RecordedMetrics(recording), here)
    if frame is None:
        return None
    return RankCase(
        name=recording.id,
        system="lab",
        frame=frame,
        inject_time=recording.alert.active_at,
        alert_time=recording.alert.fired_at,
        target=target,
        graph=here.calls(),
    )
