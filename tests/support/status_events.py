"""Session status after a few events, and short constructors of events."""

from __future__ import annotations

from controller.model.base import SeriesName
from controller.model.events import Advised, Counted, Event, FrameRecorded, TiltJudged
from controller.model.stage import StagePosition
from controller.service.fold import fold
from controller.service.status import SessionStatus
from tests.support import scripted_session as script


def status_after(*events: Event) -> SessionStatus:
    """Return the session status after these events."""
    status = SessionStatus()
    for record in script.records(iter(events)):
        status = fold(status, record)
    return status


def frame(index: int, verdict: str = "ok", **changes: object) -> FrameRecorded:
    given = {
        "series": "A",
        "index": index,
        "planned": 73,
        "alpha_deg": -70.0 + 2 * index,
        "stage": StagePosition(),
        "mean_counts": 400.0,
        "shift_px": (3.0, 4.0),
        "verdict": verdict,
        "retakes": 0,
        "dose_e_per_A2": 100.0 * (index + 1),
        "left_s": 10.0,
    }
    return FrameRecorded.model_validate({**given, **changes})


def judged(index: int, residual_px: float) -> TiltJudged:
    return TiltJudged(series="A", index=index, residual_px=residual_px, shift_px=(0.3, 0.4))


def advised(series: SeriesName, topic: str, text: str = "why", index: int | None = None) -> Advised:
    return Advised(series=series, topic=topic, text=text, ok=False, index=index)  # type: ignore[arg-type]


def count(n: int, tilts: int, live: bool = True) -> Counted:
    return Counted(which="A", n=n, n_low=n - 9, n_high=n + 9, tilts_used=tilts, live=live)
