"""Settings of the fake microscope, and frames that contradict their record."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from controller.hardware.interface import Frame
from controller.model.base import Data


class FakeSettings(Data):
    """Behaviour that can also be set for a fake in another process."""

    exposure_s: float = 0.0
    """Duration of an exposure, in real seconds."""
    move_s: float = 0.0
    """Duration of a stage move, in real seconds."""
    ignores_stop_until: Path | None = None
    """Moves last until this file exists and `stop_stage` fails, as with TEM Scripting."""
    valves_open: bool = True
    driver_error: Literal["", "mistake", "disk full", "file gone"] = ""
    """`set_current` raises an error that is not a MicroscopeError."""
    noise: bool = False
    """Frames are random over the full range, fixed by the request id, instead of the object."""
    float_pixels: bool = False
    forgets_requests: bool = False
    """A repeated request id acts again, so that only the bridge can prevent it."""
    wrong_frame: Literal["", "shape", "dtype", "record"] = ""
    """Contradiction between the pixels and the record of every frame."""
    action_log: Path | None = None
    """File that receives every action, one line each."""


def contradict_record(frame: Frame, wrong: str) -> Frame:
    """Return a frame whose pixels contradict its record."""
    match wrong:
        case "shape":
            return Frame(frame.info, frame.pixels[:-1])
        case "dtype":
            return Frame(frame.info, frame.pixels.astype(np.float64))
        case "record":
            wider = frame.info.scan.model_copy(update={"width_px": frame.info.scan.width_px + 2})
            pixels = np.pad(frame.pixels, ((0, 0), (1, 1)))
            return Frame(frame.info.model_copy(update={"scan": wider}), pixels)
    return frame
