"""Smoothing of the images of a series, in threads."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from processing.parallel import each_in_threads
from processing.series import Float32


def smooth_images(
    images: Float32, sigma_px: float, mode: Literal["reflect", "nearest"] = "reflect"
) -> Float32:
    """Smooth each image of a stack [tilt, y, x] by a Gaussian.

    Parameters
    ----------
    mode
        Values beyond the border: reflected ones, or those at the border.
    """
    smooth = np.empty(images.shape, np.float32)

    def one(tilt: int) -> None:
        ndimage.gaussian_filter(images[tilt], sigma_px, output=smooth[tilt], mode=mode)

    each_in_threads(one, range(len(images)))
    return smooth
