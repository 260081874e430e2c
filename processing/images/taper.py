"""Smooth edges for Fourier transforms of images."""

from __future__ import annotations

import numpy as np

from processing.series import Float64


def taper(pixels: int, tapered_share: float) -> Float64:
    """Return a Tukey window [pixel]: 1 in the middle, a cosine to 0 at both ends (Harris 1978).

    The same as `scipy.signal.windows.tukey`, whose import takes as long as all others of a process
    together.

    Parameters
    ----------
    tapered_share
        Fraction of the pixels in the two cosines together, 0 to 1.
    """
    from_end = np.minimum(np.arange(pixels), np.arange(pixels)[::-1])
    width = tapered_share * (pixels - 1) / 2
    if width <= 0:
        return np.ones(pixels)
    return np.asarray((1 - np.cos(np.pi * np.minimum(from_end / width, 1))) / 2, np.float64)
