"""Sign of the contrast: are the particles brighter or darker than the background?"""

from __future__ import annotations

import numpy as np

from processing.images.intensity import background_levels
from processing.images.smooth import smooth_images
from processing.series import Float32

CERTAIN_RATIO = 3.0
"""Smallest ratio of dark to bright signal of an inverted series; noise alone has about 1."""
CERTAIN_SHARE = 0.8
"""Smallest fraction of the images that show it."""
BORDER_SHARE = 0.06
"""Width of the border in which the background is expected, as a fraction of the side."""
SMOOTH_PX = 1.5
SIGNAL_PERCENTILE = 99.5


def is_inverted(images: Float32) -> bool:
    """Return true if the particles are certainly darker than the background: a bright field.

    The signal below the background must be much larger than the signal above it, and the border,
    where the background is expected, must be bright. An object that fills the field is bright with
    a dark border.

    Parameters
    ----------
    images
        [tilt, y, x], finite, with repaired pixels.
    """
    smooth = smooth_images(images, SMOOTH_PX)
    background = background_levels(smooth)
    percentiles = (100 - SIGNAL_PERCENTILE, SIGNAL_PERCENTILE)
    dark, bright = np.percentile(smooth, percentiles, axis=(1, 2))
    below, above = background - dark, bright - background
    margin = max(1, round(BORDER_SHARE * min(images.shape[1:])))
    inner = np.ones(images.shape[1:], bool)
    inner[margin:-margin, margin:-margin] = False
    border = np.median(smooth[:, inner], axis=1)
    bright_border = bright - border < border - dark
    certain = (below > CERTAIN_RATIO * np.maximum(above, 0)) & (below > 0) & bright_border
    return bool(certain.mean() >= CERTAIN_SHARE)
