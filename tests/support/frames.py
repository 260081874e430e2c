"""Recorded frames, and the events that report them, for tests."""

from __future__ import annotations

from typing import Any

from controller.model.base import SeriesName
from controller.model.events import Event, FrameRecorded
from controller.model.frames import FrameVerdict, RecordedFrame


def recorded_frame(series: SeriesName, tilt_number: int, **facts: Any) -> RecordedFrame:
    """Return a good frame of a tilt; `section` follows the tilt number unless given."""
    nominal_deg = facts.pop("nominal_deg", 0.0)
    known = {
        "step_id": f"{series}-{tilt_number:03d}",
        "nominal_deg": nominal_deg,
        "actual_deg": nominal_deg,
        "section": tilt_number - 1,
        "mean_counts": 400.0,
        "shift_px": (0.0, 0.0),
        "verdict": FrameVerdict.OK,
        "retakes": 0,
    }
    return RecordedFrame(series=series, tilt_number=tilt_number, **{**known, **facts})


def frame_event(frame: RecordedFrame, planned: int, **facts: Any) -> FrameRecorded:
    """Return the event of a frame of a series without skipped tilts."""
    known = {"tilts_left": planned - frame.tilt_number, "dose_e_per_A2": 0.0, "left_s": 0.0}
    return FrameRecorded(frame=frame, planned=planned, **{**known, **facts})


def is_frame(event: Event, series: str, section: int) -> bool:
    """Tell whether an event is that of the frame in a section of a series."""
    return isinstance(event, FrameRecorded) and (
        (event.frame.series, event.frame.section) == (series, section)
    )
