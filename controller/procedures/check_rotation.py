"""Has the object turned as far as the stage says? Neighbouring images tell, whatever it reports.

At the particles' scale images of neighbouring tilts resemble each other, and the likeness falls
quickly with the angle between them. Measured on simulated assemblies (fcc, grains; 2 degrees):
0.54 to 0.98 between neighbours, never below 0.7 of the median of those before; 0.25 to 0.57 where
the stage was 4 to 8 degrees off. Small ones change less: 60 nm, disordered, 0.95 between
neighbours, 0.58 to 0.64 where turned by 8 degrees, which is not told, and 0.35 to 0.47 by 12.

A stage that stays where it was shows as little as any small error: ordered assemblies look alike
from angles 12 degrees apart, so no alarm is made of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import Frame
from controller.model.base import SeriesName
from controller.model.events import Level
from controller.model.frames import FrameVerdict
from controller.procedures.context import Context
from controller.procedures.tracking.locate import binned
from processing.images.shift import Band, find_shifts

TELLING = (FrameVerdict.OK, FrameVerdict.SHIFTED)
"""Verdicts of frames that show the object as it is."""
BAND = Band(fine_px=1.0, coarse_px=3.0)
PIXELS = 128
"""Images are compared binned to about this width."""
HISTORY = 6
"""Likenesses that must stand before one more is judged by them."""
LEAST_SHARE = 0.6
"""Of their median: below it the object has turned further than the stage says."""


def correlation(image: NDArray[Any], other: NDArray[Any]) -> float:
    """Correlation of two images [y, x] at the particles' scale, best shift, -1..1."""
    step = max(1, min(image.shape) // PIXELS)
    one, two = (binned(pixels, step)[None] for pixels in (image, other))
    return float(find_shifts(one, two, BAND).scores[0])


def check_rotation(
    context: Context, step_id: str, series: SeriesName, frame: Frame, verdict: FrameVerdict
) -> float | None:
    """Compare a frame with its neighbour in tilt; raise the alarm where the angles cannot be right.

    Parameters
    ----------
    frame, verdict
        What was recorded, and what is thought of it: only a good image tells anything.

    Returns
    -------
    float or None
        Likeness to the frame nearest in tilt, where that is one tilt away.
    """
    good = context.session.ledger.frames_with_object(series)
    if not good or verdict not in TELLING:
        return None
    alpha_deg = frame.info.stage.alpha_deg
    before = min(good, key=lambda known: abs(known.info.stage.alpha_deg - alpha_deg))
    if abs(alpha_deg - before.info.stage.alpha_deg) > 1.5 * _step_deg(context, series):
        return None
    found = correlation(frame.pixels, context.session.image(series, before.section))
    usual = [known.correlation for known in good if known.correlation is not None][-HISTORY:]
    if len(usual) == HISTORY and found < LEAST_SHARE * float(np.median(usual)):
        context.alert(
            Level.ALARM,
            f"the image is unlike its neighbour ({found:.2f}, usually {np.median(usual):.2f}): "
            "the stage may be at another angle than it says",
            step_id,
        )
    return found


def _step_deg(context: Context, series: SeriesName) -> float:
    protocol = context.protocol
    return protocol.series(series).step_deg
