"""Advice on a second series, recorded from the other side: its gain for the count of the first."""

from __future__ import annotations

import numpy as np

from processing.series import Float64


def second_series_line(confidence: Float64) -> str:
    """Return the expected number of particles whose places a second series would settle.

    Where the beam leaves, a sphere may be in a wrong place and the particle itself missing. The
    expected number of such spheres is the sum of what their confidences lack.

    Parameters
    ----------
    confidence
        [n], confidence of each particle counted.
    """
    expected = float((1 - confidence).sum())
    if expected < 0.5:
        return f"a second series would add nothing: all {len(confidence)} places are certain"
    about = _two_digits(expected)
    return (
        f"a second series would settle the places of about {about} of {len(confidence)} particles"
    )


def _two_digits(number: float) -> int:
    """Round to two digits: the confidences of one count are no more exact than that."""
    digits = max(0, int(np.floor(np.log10(number))) - 1)
    unit = 10.0**digits
    return max(1, int(round(number / unit) * unit))
