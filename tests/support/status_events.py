"""Session status after a few events, and short constructors of events."""

from __future__ import annotations

from typing import Any

from controller.model.base import SeriesName
from controller.model.events import (
    Advised,
    Counted,
    Event,
    FrameRecorded,
    FrameWithdrawn,
    SeriesEndedEarly,
    TiltJudged,
    TiltMissed,
)
from controller.model.frames import FrameVerdict
from controller.model.more_tilts import MoreTilts
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from tests.support import scripted_session as script
from tests.support.frames import frame_event, recorded_frame


def status_after(*events: Event) -> SessionStatus:
    """Return the session status after these events."""
    status = SessionStatus()
    for record in script.records(iter(events)):
        status = next_status(status, record)
    return status


def frame(section: int, verdict: str = "ok", **facts: Any) -> FrameRecorded:
    """Frame of a series whose tilts were recorded one after the other, 2 degrees apart."""
    changed = {
        "nominal_deg": -70.0 + 2 * section,
        "shift_px": (3.0, 4.0),
        "section": section,
        "verdict": FrameVerdict(verdict),
        **facts,
    }
    event = {
        "planned": changed.pop("planned", 73),
        "dose_e_per_A2": changed.pop("dose_e_per_A2", 100.0 * (section + 1)),
        "left_s": changed.pop("left_s", 10.0),
    }
    if "tilts_left" in changed:
        event["tilts_left"] = changed.pop("tilts_left")
    series = changed.pop("series", "A")
    recorded = recorded_frame(series, changed.pop("tilt_number", section + 1), **changed)
    return frame_event(recorded, **event)


def withdrawn(section: int) -> FrameWithdrawn:
    return FrameWithdrawn(series="A", tilt_number=section + 1, section=section)


def missed(tilt_number: int, tilts_left: int) -> TiltMissed:
    return TiltMissed(
        series="A",
        tilt_number=tilt_number,
        nominal_deg=0.0,
        reason="the stage refuses",
        tilts_left=tilts_left,
    )


ENOUGH_TILTS = MoreTilts(
    tilts_used=40,
    tilts_left=31,
    n=201,
    n_low=200,
    n_high=202,
    change=0,
    change_low=-1,
    change_high=1,
    missing="",
)


def ended_early(recorded: int, left_out: int) -> SeriesEndedEarly:
    return SeriesEndedEarly(
        series="A",
        recorded=recorded,
        left_out=left_out,
        saved_dose_e_per_A2=5200.0,
        saved_s=154.0,
        more_tilts=ENOUGH_TILTS,
    )


def judged(section: int, residual_px: float) -> TiltJudged:
    return TiltJudged(
        series="A",
        tilt_number=section + 1,
        section=section,
        residual_px=residual_px,
        shift_px=(0.3, 0.4),
    )


def advised(
    series: SeriesName, topic: str, text: str = "why", tilt_number: int | None = None
) -> Advised:
    return Advised(series=series, topic=topic, text=text, ok=False, tilt_number=tilt_number)  # type: ignore[arg-type]


def count(n: int, tilts: int, live: bool = True) -> Counted:
    return Counted(which="A", n=n, n_low=n - 9, n_high=n + 9, tilts_used=tilts, live=live)
