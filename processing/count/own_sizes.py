"""Diameter of each particle from two measurements, with its standard error.

Brightness and profile measure the same size with different errors. Those by noise are known. The
rest follows from the particles themselves: what both measurements share is the spread of the sizes,
what each has alone is its error (Grubbs, J. Am. Stat. Assoc. 1948, 43, 243). A difference of the
two that varies smoothly with the place is a systematic error of the brightness, by the material
that the beam has crossed, and is removed from it. Both are then averaged by their inverse
covariance. Errors that both measurements share are added: those of particles that overlap, and a
smooth one by the beam's model, which is as large as the smooth difference of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.series import Bools, Float64

FEWEST_FOR_TREND = 60
"""Fewest particles from which a dependence on the place is removed."""
FEWEST_FOR_SCATTER = 12
"""Fewest particles that show the scatter of the measurements; with fewer, `USUAL_SCATTER`."""
USUAL_SCATTER = 0.02
"""Scatter of either measurement beyond noise, where it cannot be measured."""
SCALE_TOLERANCE = 0.05
"""Variance of the sizes, as a fraction, by which those of the two measurements may differ because
neither scale is exact. It is no scatter."""
OVERLAP_ERROR = 0.01
"""Error that both measurements share, over the spread of the sizes and over the cube root of the
number of particles: a line through the assembly crosses about as many, whose images overlap."""
ERROR_KNOWN_TO = 0.2
"""Fraction to which the standard errors are known; that of the spread follows from it."""
OUTLIER = 3.5
"""Distance from the median, in robust standard deviations, beyond which a value is an outlier."""
MOST_OUTLIERS = 0.1
"""Largest share of outliers among values. More of them are particles of another size."""


@dataclass(frozen=True, eq=False)
class OwnSizes:
    """Sizes of particles relative to the typical one of their kind.

    Attributes
    ----------
    log_size
        [n], logarithm of the relative diameter.
    error
        [n], its standard error; that of the common scale is not included.
    brightness_share
        [n], weight of the brightness in the diameter; the rest is that of the profile.
    """

    log_size: Float64
    error: Float64
    brightness_share: Float64


@dataclass(frozen=True)
class Spread:
    """Spread of values, without that of their measurement, and its standard error."""

    value: float
    error: float


def combine_measurements(
    measured: Float64, noise: Float64, centres_nm: Float64, kinds: NDArray[np.int64]
) -> OwnSizes:
    """Average both measurements of the sizes of all particles.

    Parameters
    ----------
    measured
        [n, (brightness, profile)], logarithms of the diameter, from any origin for each kind.
    noise
        [n, 2, 2], covariance of both by the noise of the images.
    centres_nm
        [n, 3].
    kinds
        [n], number of the kind of each particle.
    """
    if not len(measured):
        return OwnSizes(np.zeros(0), np.zeros(0), np.zeros(0))
    measured = _relative(measured, kinds)
    places = _smooth_terms(centres_nm)
    difference = measured[:, 0] - measured[:, 1]
    measured[:, 0] -= _trend(difference, places)
    measured = _relative(measured, kinds)
    usual = _are_usual(measured[:, 0]) & _are_usual(measured[:, 1])
    covariance = noise + np.diag(_scatter(measured[usual], noise[usual]))
    share = _brightness_share(covariance)
    weights = np.stack([share, 1 - share], axis=1)
    log_size = (weights * measured).sum(axis=1)
    variance = np.einsum("ni,nij,nj->n", weights, covariance, weights)
    variance += _variance_by_place(difference, log_size, places)
    spread = spread_of(log_size, np.sqrt(variance)).value
    return OwnSizes(
        log_size, np.sqrt(variance + (_overlap_error(len(log_size)) * spread) ** 2), share
    )


def spread_of(values: Float64, errors: Float64) -> Spread:
    """Return the standard deviation of values without the part that their errors explain.

    The error by overlap does not widen the distribution: what one particle lacks, others have.
    """
    usual = _are_usual(values)
    if usual.sum() < (1 - MOST_OUTLIERS) * len(values):
        usual = np.ones(len(values), bool)
    values, errors = values[usual], errors[usual]
    if len(values) < 3:
        return Spread(0.0, float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0)
    found, explained = float(np.var(values, ddof=1)), float(np.mean(errors**2))
    own = max(found - explained, 0.0) / (1 - _overlap_error(len(values)) ** 2)
    # the variances of normal values vary by the square root of 2 / n
    by_chance = found * np.sqrt(2 / (len(values) - 1))
    error = max(float(np.hypot(by_chance, 2 * ERROR_KNOWN_TO * explained)), 1e-30)
    return Spread(float(np.sqrt(own)), float(error / np.sqrt(max(4 * own, 2 * error))))


def _overlap_error(number: int) -> float:
    """Return the error of each particle by the overlap of all, over the spread of the sizes."""
    return min(OVERLAP_ERROR * float(np.cbrt(number)), 0.5)


def _relative(measured: Float64, kinds: NDArray[np.int64]) -> Float64:
    """Return measurements [n, 2] relative to their medians over the particles of the same kind."""
    result = measured.copy()
    for kind in np.unique(kinds):
        own = kinds == kind
        result[own] -= np.median(measured[own], axis=0)
    return result


def _smooth_terms(centres_nm: Float64) -> Float64:
    """Return terms [n, 4] that vary smoothly with depth and radius, the first of them constant."""
    place = centres_nm - centres_nm.mean(axis=0)
    place /= max(float(np.abs(place).max()), 1e-9)
    depth, square = place[:, 2], (place**2).sum(axis=1)
    return np.stack([np.ones(len(depth)), depth, depth**2, square], axis=1)


def _trend(values: Float64, terms: Float64) -> Float64:
    """Return the part of values [n] that varies smoothly with the place."""
    if len(values) < FEWEST_FOR_TREND:
        return np.zeros(len(values))
    usual = _are_usual(values)
    return np.asarray(terms @ np.linalg.lstsq(terms[usual], values[usual])[0], np.float64)


def _variance_by_place(difference: Float64, log_size: Float64, terms: Float64) -> float:
    """Return the variance of the sizes by errors that vary smoothly with the place.

    The beam's model changes brightness and profile, each in its way: their smooth difference is
    about as large as the error of either. The error is no larger than the smooth change found.
    """
    smooth, usual = _trend(difference, terms), _are_usual(difference)
    by_chance = (terms.shape[1] - 1) / len(smooth) * float(np.var((difference - smooth)[usual]))
    found = float(np.var(_trend(log_size, terms)))
    return float(min(max(float(np.var(smooth)) - by_chance, 0.0), found))


def _are_usual(values: Float64) -> Bools:
    """Return which values are no outliers."""
    if not len(values):
        return np.zeros(0, bool)
    deviation = np.abs(values - np.median(values))
    return np.asarray(deviation <= OUTLIER * 1.4826 * np.median(deviation) + 1e-12, bool)


def _scatter(measured: Float64, noise: Float64) -> Float64:
    """Return the variance [2] of each measurement beyond noise and beyond the sizes' own spread."""
    if len(measured) < FEWEST_FOR_SCATTER:
        return np.full(2, USUAL_SCATTER**2)
    found = np.cov(measured.T) - np.median(noise, axis=0)
    sizes = max(float(found[0, 1]), 0.0)
    return np.asarray(np.maximum(np.diag(found) - (1 + SCALE_TOLERANCE) * sizes, 0.0), np.float64)


def _brightness_share(covariance: Float64) -> Float64:
    """Return the weight [n] of the first of two measurements with these covariances [n, 2, 2]."""
    first = covariance[:, 1, 1] - covariance[:, 0, 1]
    second = covariance[:, 0, 0] - covariance[:, 0, 1]
    share = first / np.maximum(first + second, 1e-30)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float64)
