"""Brightness that the noise of film alone may reach, to tell objects from noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, special

from processing.series import Float64

CHANCE = 1e-3
"""Chance that the noise of one image alone exceeds the limit anywhere in it."""
_STEEPNESS = np.geomspace(0.5, 500.0, 48)
"""Exponents of the brightest pixel at which the bound is evaluated; each gives a valid bound."""
_REACH = 4.0
"""Radius of a Gaussian average, in its standard deviations, as in `scipy.ndimage`."""


def brightest_by_chance(film: Float64, places: int, sigma_px: float) -> float:
    """Return a limit that a Gaussian average of film exceeds by chance nowhere in an image.

    The pixels are taken as independent draws from the distribution of the film's pixels, whatever
    that is: few counts, a digitised signal. Chernoff's bound holds for each average of such draws,
    and the limit is that for all places together. (H. Chernoff, Ann. Math. Stat. 1952, 23, 493.)

    Parameters
    ----------
    film
        Pixels of film, [n], less the usual one.
    places
        Number of places in the image.
    sigma_px
        Standard deviation of the average, pixels.

    Returns
    -------
    float
        The limit, in units of the image; 0 for an even film.
    """
    values, counts = np.unique(film, return_counts=True)
    if len(values) < 2:
        return 0.0
    weights, pixels = np.unique(_gaussian_weights(sigma_px).round(12), return_counts=True)
    log_shares = np.log(counts / film.size)
    exponents = _STEEPNESS / (weights[-1] * (values[-1] - values[0]))
    # logarithm of the mean of exp(exponent * average), by independence a sum over the pixels
    log_means = [
        pixels @ special.logsumexp(log_shares + exponent * np.outer(weights, values), axis=1)
        for exponent in exponents
    ]
    return float(np.min((np.array(log_means) + np.log(places / CHANCE)) / exponents))


def _gaussian_weights(sigma_px: float) -> Float64:
    """Return the weights of a Gaussian average, [y, x]."""
    radius = int(_REACH * sigma_px + 0.5)
    point = np.zeros((2 * radius + 1, 2 * radius + 1))
    point[radius, radius] = 1.0
    return np.asarray(ndimage.gaussian_filter(point, sigma_px, truncate=_REACH, mode="constant"))
