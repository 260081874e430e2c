"""Check of each new frame against the frames before it: should the tilt be recorded again?"""

from __future__ import annotations

from collections import deque

import numpy as np

from processing.align.coarse import cut_off
from processing.images.health import DIM_SHARE, NEIGHBOURS, ImageQuality, image_quality
from processing.images.intensity import without_background
from processing.live.reconstruction import LiveTilt
from processing.series import Float32, TiltSeries

FEWEST_FRAMES = 3
"""Smallest number of frames before a frame is checked."""
BLURRED_SHARE = 0.2
"""Smallest detail, as a fraction of that of the previous tilts.

The limit is lower than in a complete series: when the planes of a crystal tilt out of line, the
detail of its images falls to a third.
"""
LARGEST_SHIFT_SHARE = 0.15
"""Shift, as a fraction of the shorter side, beyond which the stage has lost a cut-off object."""


class FrameCheck:
    """Checks of the frames of one series, in the order of recording.

    Parameters
    ----------
    pixel_nm
        Size of their pixels.
    binning
        Recorded pixels in one of theirs, along a side.
    """

    def __init__(self, pixel_nm: float, binning: int = 1) -> None:
        self._pixel_nm, self._binning = pixel_nm, binning
        self._recent: deque[ImageQuality] = deque(maxlen=NEIGHBOURS)

    def fault(self, image: Float32, tilt: LiveTilt) -> str:
        """Return the fault of a frame [y, x] with its size; empty if there is none."""
        quality, recent = image_quality(image), list(self._recent)
        self._recent.append(quality)
        if len(recent) < FEWEST_FRAMES:
            return ""
        signal = quality.signal / max(float(np.median([one.signal for one in recent])), 1e-30)
        detail = quality.detail / max(float(np.median([one.detail for one in recent])), 1e-30)
        if signal < DIM_SHARE:
            return f"dim: {signal:.0%} of the signal of the previous tilts"
        if detail < BLURRED_SHARE:
            return f"blurred: {detail:.0%} of the detail of the previous tilts"
        if not tilt.used:
            return "it does not resemble the previous tilts"
        shift_px = float(np.hypot(*tilt.shift_px))
        if shift_px < LARGEST_SHIFT_SHARE * min(image.shape) * self._binning:
            return ""
        return self._cut_off(image, tilt, shift_px)

    def _cut_off(self, image: Float32, tilt: LiveTilt, shift_px: float) -> str:
        one = TiltSeries(image[None], np.array([tilt.angle_deg]), self._pixel_nm)
        if not cut_off(without_background(one).images)[0]:
            return ""
        return f"shifted by {shift_px:.0f} px, and the object is cut off"
