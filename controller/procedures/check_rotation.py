"""Detect a wrong tilt read-back: correlate each frame with its neighbour in tilt.

Band-passed to the particles' scale, images of neighbouring tilts correlate, and the correlation
falls quickly with the angle between them. Measured on simulated assemblies (fcc, multi-grain; steps
of 2 degrees): 0.54 to 0.98 between neighbours, never below 0.7 of the median of those before; 0.25
to 0.57 with the stage 4 to 8 degrees off. Small assemblies change less (60 nm, disordered): 0.95
between neighbours; 0.58 to 0.64 with 8 degrees, which is not detected; 0.35 to 0.47 with 12.

A stage that does not move is not detected: the correlation stays high, and ordered assemblies also
look alike at angles 12 degrees apart.
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

USABLE_VERDICTS = (FrameVerdict.OK, FrameVerdict.SHIFTED)
"""Verdicts of frames that can be compared."""
BAND = Band(fine_px=1.0, coarse_px=3.0)
PIXELS = 128
"""Images are binned to about this width before they are compared."""
MIN_HISTORY = 6
"""Number of correlations needed before the next one is judged."""
MIN_FRACTION_OF_MEDIAN = 0.6
"""Lowest correlation accepted, as a fraction of the median of those before."""


def correlation(image: NDArray[Any], other: NDArray[Any]) -> float:
    """Correlate two images [y, x] at the particles' scale, best shift; return -1..1."""
    step = max(1, min(image.shape) // PIXELS)
    one, two = (binned(pixels, step)[None] for pixels in (image, other))
    return float(find_shifts(one, two, BAND).scores[0])


def check_rotation(
    context: Context, step_id: str, series: SeriesName, frame: Frame, verdict: FrameVerdict
) -> float | None:
    """Compare a frame with its neighbour in tilt; raise an alarm if an angle must be wrong.

    Parameters
    ----------
    frame, verdict
        Frame and its verdict; only a usable frame is compared.

    Returns
    -------
    float or None
        Correlation with the frame nearest in tilt, if that is one tilt away.
    """
    good = context.session.ledger.frames_with_object(series)
    if not good or verdict not in USABLE_VERDICTS:
        return None
    alpha_deg = frame.info.stage.alpha_deg
    before = min(good, key=lambda known: abs(known.info.stage.alpha_deg - alpha_deg))
    if abs(alpha_deg - before.info.stage.alpha_deg) > 1.5 * _step_deg(context, series):
        return None
    found = correlation(frame.pixels, context.session.image(series, before.section))
    usual = [known.correlation for known in good if known.correlation is not None][-MIN_HISTORY:]
    if len(usual) == MIN_HISTORY and found < MIN_FRACTION_OF_MEDIAN * float(np.median(usual)):
        context.alert(
            Level.ALARM,
            f"the image is unlike its neighbour ({found:.2f}, usually {np.median(usual):.2f}): "
            "the stage may be at another angle than it reports: pause, and compare it with the "
            "display of the goniometer",
            step_id,
        )
    return found


def _step_deg(context: Context, series: SeriesName) -> float:
    protocol = context.protocol
    return protocol.series(series).step_deg
