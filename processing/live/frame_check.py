"""Is a frame worth taking again? Asked as soon as it is there, against those before it."""

from __future__ import annotations

from collections import deque

import numpy as np

from processing.align.coarse import cut_off
from processing.images.health import DIM_SHARE, NEIGHBOURS, ImageQuality, image_quality
from processing.images.intensity import without_background
from processing.live.reconstruction import LiveTilt
from processing.series import Float32, TiltSeries

FEWEST = 3
"""Frames before, without which nothing is usual."""
BLURRED_SHARE = 0.2
"""Of the detail of the tilts before. Less strict than where the tilts after are known too: when the
planes of a crystal turn out of line, its detail falls to a third."""
LARGEST_SHIFT = 0.15
"""Of the field's shorter side; beyond it an object that is cut off was lost by the stage."""


class FrameCheck:
    """Remembers what recent frames of one series looked like."""

    def __init__(self, pixel_nm: float) -> None:
        self._pixel_nm = pixel_nm
        self._recent: deque[ImageQuality] = deque(maxlen=NEIGHBOURS)

    def fault(self, image: Float32, tilt: LiveTilt) -> str:
        """What is wrong with a frame [y, x], with its figure; empty where it is fine."""
        seen, recent = image_quality(image), list(self._recent)
        self._recent.append(seen)
        if len(recent) < FEWEST:
            return ""
        signal = seen.signal / max(float(np.median([one.signal for one in recent])), 1e-30)
        detail = seen.detail / max(float(np.median([one.detail for one in recent])), 1e-30)
        if signal < DIM_SHARE:
            return f"dim: {signal:.0%} of the signal of the tilts before"
        if detail < BLURRED_SHARE:
            return f"blurred: {detail:.0%} of the detail of the tilts before"
        if not tilt.used:
            return "it resembles nothing that was recorded before"
        return self._lost(image, tilt)

    def _lost(self, image: Float32, tilt: LiveTilt) -> str:
        shift_px = float(np.hypot(*tilt.shift_px))
        if shift_px < LARGEST_SHIFT * min(image.shape):
            return ""
        one = TiltSeries(image[None], np.array([tilt.angle_deg]), self._pixel_nm)
        if not cut_off(without_background(one).images)[0]:
            return ""
        return f"shifted by {shift_px:.0f} px, and the object is cut off"
