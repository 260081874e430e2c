"""Comparison of two fits to the same images."""

from __future__ import annotations

import numpy as np

from processing.fit.spheres import SphereFit


def explains_better(after: SphereFit, before: SphereFit, unknowns: int) -> bool:
    """Return true if a fit explains the images better than one with fewer unknowns.

    The residual must fall by more than the Bayesian information criterion asks for (Schwarz 1978).

    Parameters
    ----------
    unknowns
        Number of unknowns that the fit has more.
    """
    pixels = sum(len(some) * int(np.prod(some.imager.shape)) for some in after.views)
    gain = pixels * np.log(max(before.misfit, 1e-9) ** 2 / max(after.misfit, 1e-9) ** 2)
    return bool(gain > unknowns * np.log(pixels))
