"""Chance that a sphere of the fit is in a wrong place: no particle is within a quarter diameter.

There are two ways to a wrong place. A residual near the sphere pulls it; this shows where tilts are
too far apart or the images contradict one another. And on the exit side of one series spheres are
so blurred and faint that several places explain the images equally well, without any residual.
Both rules were measured on simulated series (docs/decisions/0021).
"""

from __future__ import annotations

import numpy as np

from processing.series import Float64

PLACE_LIMIT = 0.012
"""Error of place, in diameters, at which half of the spheres are more than a quarter of a diameter
away from any particle. It is the error of one sphere alone; overlapping spheres that move together
are less certain."""
PLACE_STEEPNESS = 6.0
"""Power of the error with which the odds of a wrong place grow."""
EXIT_LIMIT = 6.5
"""Blur of the exit side times step, both in diameters, at which the odds of a wrong place are even
for a sharp and bright sphere."""
EXIT_STEEPNESS, SHARPNESS_STEEPNESS, AMPLITUDE_STEEPNESS = 3.0, 5.0, 6.0
"""Powers with which the odds grow with that product, and fall with sharpness and amplitude."""
RIGHT_BY_CHANCE = 0.12
"""Share of the spheres whose place nothing shows that are near a particle all the same."""
LEAST = 0.05
"""Smallest sharpness and amplitude that are told apart."""


def wrong_place_chance(
    place_error: Float64, sharpness: Float64, amplitudes: Float64, exit_blur: float, step: float
) -> Float64:
    """Return the probability [n] that a sphere is not within a quarter of a diameter of a particle.

    Parameters
    ----------
    place_error
        [n], error of place that the residual of the images allows, in diameters.
    sharpness
        [n], gradient energy of the sphere's images, over that of the sharpest particles.
    amplitudes
        [n]; 1 is a typical particle.
    exit_blur
        Blur of the exit side of one series, in diameters; 0 with two series, where each shows the
        exit side of the other.
    step
        Angular step times size of the object, in diameters.
    """
    pulled = _chance((place_error / PLACE_LIMIT) ** PLACE_STEEPNESS)
    clear = (
        np.maximum(sharpness, LEAST) ** SHARPNESS_STEEPNESS
        * np.maximum(amplitudes, LEAST) ** AMPLITUDE_STEEPNESS
    )
    unseen = _chance((exit_blur * step / EXIT_LIMIT) ** EXIT_STEEPNESS / clear)
    return np.asarray(1 - (1 - pulled) * (1 - (1 - RIGHT_BY_CHANCE) * unseen), np.float64)


def _chance(odds: Float64) -> Float64:
    return np.asarray(1 - 1 / (1 + odds), np.float64)
