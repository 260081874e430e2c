"""Events of made-up sessions, written to a folder as a run leaves them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from controller.model.base import SeriesName
from controller.model.count_verdict import CountVerdict, Trust
from controller.model.events import (
    RECORD,
    Alerted,
    Counted,
    Event,
    FlipChecked,
    FrameRecorded,
    FrameWithdrawn,
    Level,
    Phase,
    PhaseFinished,
    PhaseStarted,
    ProcessingFailed,
    PromptAnswered,
    Record,
    SessionStarted,
    State,
    StateChanged,
    TiltJudged,
)
from tests.support.frames import frame_event, recorded_frame

TILTS_DEG = tuple(float(tilt) for tilt in range(-70, 75, 6))

STARTED: list[Event] = [
    SessionStarted(
        name="au-assembly",
        folder="/data/au-assembly",
        microscope="simulated column",
        simulated=True,
        tilts_a_deg=TILTS_DEG,
        tilts_b_deg=TILTS_DEG,
        planned_s=900.0,
        planned_dose_e_per_A2=14_000.0,
        dose_budget_e_per_A2=25_000.0,
    ),
    StateChanged(state=State.RUNNING),
]
FLIPPED: list[Event] = [
    PhaseStarted(phase=Phase.FLIP),
    PromptAnswered(prompt_id="flip", value="done", by="operator"),
    FlipChecked(
        flipped_score=0.79,
        same_side_score=0.60,
        in_plane_deg=71.3,
        accepted=True,
        found="flipped, turned by 71 degrees in the plane",
    ),
    PhaseFinished(phase=Phase.FLIP),
]
OVERRIDDEN: list[Event] = [
    PhaseStarted(phase=Phase.FLIP),
    FlipChecked(
        flipped_score=0.41,
        same_side_score=0.39,
        in_plane_deg=12.0,
        accepted=False,
        found="cannot be told",
    ),
    PromptAnswered(
        prompt_id="flip-check",
        value="override",
        reason="seen through the <window> by two of us",
        by="operator",
    ),
    PhaseFinished(phase=Phase.FLIP),
]
FINISHED: list[Event] = [
    Counted(which="fused", n=2878, n_low=2850, n_high=2920, tilts_used=50, live=False),
    StateChanged(state=State.FINISHED),
]
DOUBTED = Counted(
    which="A",
    n=2700,
    n_low=2000,
    n_high=3400,
    tilts_used=25,
    live=False,
    final_residual_px=0.1,
    verdict=CountVerdict(state=Trust.DOUBTFUL, reasons=("the exit side is blurred",)),
)
WARNED: list[Event] = [
    Alerted(
        level=Level.WARNING,
        text="frame is off the centre by 4.1 px, limit 4.0: retaking it",
        where="A#7",
    ),
    Alerted(
        level=Level.INFO, text="moving to an assembly 727 nm away on the map", where="flip-map"
    ),
]
FAILED: list[Event] = [
    ProcessingFailed(job="B", reason="too few usable images"),
    StateChanged(state=State.FAILED, reason="processing failed"),
]


def recorded(series: SeriesName) -> list[Event]:
    """Return the events of a series: frames, their residuals and live counts."""
    events: list[Event] = [PhaseStarted(phase=Phase(series))]
    for index, tilt in enumerate(TILTS_DEG):
        dose = 5_800.0 + 90.0 * (index + (len(TILTS_DEG) if series == "B" else 0))
        events += [
            frame_event(
                recorded_frame(
                    series,
                    index + 1,
                    nominal_deg=tilt,
                    mean_counts=400 + 150 * math.cos(math.radians(tilt)),
                    shift_px=(0.4 * math.sin(index), 0.7 * math.cos(index)),
                    retakes=1 if index == 7 else 0,
                ),
                planned=len(TILTS_DEG),
                dose_e_per_A2=dose,
                left_s=10.0,
            ),
            TiltJudged(
                series=series,
                tilt_number=index + 1,
                section=index,
                residual_px=0.3 + 0.1 * math.sin(2 * index),
                shift_px=(1.0, 2.0),
            ),
        ]
        if index % 4 == 3:
            n = round(2900 * (index + 8) / (len(TILTS_DEG) + 8))
            spread = round(900 / (index + 1))
            events.append(
                Counted(
                    which=series,
                    n=n,
                    n_low=n - spread,
                    n_high=n + spread,
                    tilts_used=index + 1,
                    live=True,
                )
            )
    return [*events, PhaseFinished(phase=Phase(series))]


def recorded_again(series: SeriesName, *sections: int) -> list[Event]:
    """Return the events of tilts recorded again by the operator, after a complete series."""
    frames = [event for event in recorded(series) if isinstance(event, FrameRecorded)]
    events: list[Event] = []
    for number, section in enumerate(sections):
        frame = frames[section].frame
        events.append(FrameWithdrawn(series=series, tilt_number=frame.tilt_number, section=section))
        changed = {"section": len(frames) + number, "retakes": 0}
        events.append(
            frames[section].model_copy(update={"frame": frame.model_copy(update=changed)})
        )
    return events


def write_events(folder: Path, events: Iterable[Event]) -> None:
    """Write events.jsonl with one record a second."""
    lines = [
        RECORD.dump_json(
            Record(seq=seq, at=f"2026-05-04T10:{seq // 60:02d}:{seq % 60:02d}+00:00", event=event)
        )
        for seq, event in enumerate(events)
    ]
    (folder / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
