"""Search for the tilt axis over the half turn, from common lines; no angles or alignment needed.

The spectra of all images of a tilt series agree along the direction of the tilt axis (common line),
apart from a shift. Along any other direction they differ. The images that agree least are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from processing.align.axis import DETAIL_PX, SEARCH_DEG
from processing.images.taper import taper
from processing.parallel import each_in_threads
from processing.series import Float32, Float64

STEP_DEG = 2.0
DISTINCT_DEG = 10.0
"""Smallest angle between the best axis and a runner-up."""
LARGEST_LAG_SHARE = 0.25
"""Largest shift along a direction between one image and the others, as a fraction of the side."""
LAG_STEP_PX = 0.5
TAPERED_SHARE = 0.1
"""Fraction of each side over which the images fade to their background."""
ROUNDS = 3
"""Iterations that shift each line to the mean line."""
ODD_SHARE = 0.25
"""Fraction of the images that is left out along each direction: those that differ most from the
others. A few lost or half-scanned images differ more along the true axis than the object does along
a wrong one."""
FEWEST_TO_LEAVE_OUT = 8
"""Fewest images of which any is left out."""
LARGEST_RATIO = 0.5
"""Largest incoherence at a new axis, as a fraction of the smallest near the given axis."""
SMALLEST_CONTRADICTION = 0.01
"""Smallest incoherence near the given axis at which it can be wrong. Below it, as for one sphere,
the lines agree in every direction."""
LARGEST_DECIDED, LARGEST_DECIDED_RATIO = 0.1, 0.9
"""Largest incoherence at an axis that the images decide on, absolute and as a fraction of that at
the runner-up. Right axes had at most 0.07 and 0.86, in dim series. Series of which a third is lost
have over 0.07 and over 0.7 along some wrong axis."""
LARGEST_RUNNER_UP_RATIO = 0.4
"""Largest incoherence at a unique axis, as a fraction of that at the runner-up."""

Complex64 = NDArray[np.complex64]
Complex128 = NDArray[np.complex128]


@dataclass(frozen=True)
class AxisSearch:
    """Incoherence of the images along each direction.

    Attributes
    ----------
    given_deg
        Axis from which the search started.
    best_deg
        Axis with the smallest incoherence, within 90 degrees of the given one.
    best, near_given, runner_up
        Incoherence, 0..1: at the best axis, the smallest within `SEARCH_DEG` of the given axis, and
        the smallest at least `DISTINCT_DEG` from the best one.
    runner_up_deg
        Axis of the runner-up.
    """

    given_deg: float
    best_deg: float
    best: float
    near_given: float
    runner_up_deg: float
    runner_up: float

    @property
    def contradicts_given(self) -> bool:
        """True if the images fit the best axis much better than any axis near the given one."""
        far = bool(abs(_half_turn(self.best_deg - self.given_deg)) > SEARCH_DEG)
        wrong = self.near_given > SMALLEST_CONTRADICTION
        return far and wrong and self.best < LARGEST_RATIO * self.near_given

    @property
    def is_decided(self) -> bool:
        """True if the images agree along the best axis, and better than along the runner-up."""
        return self.best < min(LARGEST_DECIDED, LARGEST_DECIDED_RATIO * self.runner_up)

    @property
    def is_unique(self) -> bool:
        """True if no distinct axis fits nearly as well as the best one."""
        return self.best < LARGEST_RUNNER_UP_RATIO * self.runner_up


def search_half_turn(images: Float32, given_deg: float) -> AxisSearch:
    """Search every direction for the tilt axis.

    Parameters
    ----------
    images
        [tilt, y, x], without background.
    given_deg
        Axis to start from, from +y towards -x; the same axis 180 degrees away is not told apart.
    """
    away = np.arange(-90.0, 90.0, STEP_DEG)
    incoherence = _incoherence(images, given_deg + away)
    best = int(np.argmin(incoherence))
    distinct = np.abs(_half_turn(away - away[best])) >= DISTINCT_DEG
    runner_up = int(np.argmin(np.where(distinct, incoherence, np.inf)))
    return AxisSearch(
        given_deg,
        float(given_deg + away[best]),
        float(incoherence[best]),
        float(incoherence[np.abs(away) <= SEARCH_DEG].min()),
        float(given_deg + away[runner_up]),
        float(incoherence[runner_up]),
    )


def _half_turn(degrees: Float64 | float) -> Float64:
    """Reduce angles between axes to -90..90 degrees."""
    return np.asarray((degrees + 90) % 180 - 90, np.float64)


def _incoherence(images: Float32, axes_deg: Float64) -> Float64:
    """Return 1 minus the coherence of all images along each axis, [axis]."""
    size = fft.next_fast_len(2 * max(images.shape[1:]))
    middle = size // 2
    k = np.arange(1, size // 4)
    spectra = _centred_spectra(images, size)
    fine, coarse = (np.exp(-2 * (np.pi * sigma * k / size) ** 2) for sigma in DETAIL_PX)
    axes = np.deg2rad(axes_deg)
    rows = middle + np.outer(np.cos(axes), k)
    columns = middle - np.outer(np.sin(axes), k)
    lines = np.stack(
        [
            ndimage.map_coordinates(spectrum, [rows, columns], order=1) * (fine - coarse)
            for spectrum in spectra
        ],
        axis=1,
    ).astype(np.complex64)
    largest = LAG_STEP_PX * round(LARGEST_LAG_SHARE * max(images.shape[1:]) / LAG_STEP_PX)
    lags = np.arange(-largest, largest + LAG_STEP_PX, LAG_STEP_PX)
    shifted = np.exp(2j * np.pi * np.outer(k / size, lags)).astype(np.complex64)
    return np.array(each_in_threads(lambda one: _line_incoherence(one, shifted), lines))


def _centred_spectra(images: Float32, size: int) -> Complex128:
    """Fourier transform images about their centres, zero frequency in the middle."""
    f = fft.fftshift(fft.fftfreq(size))
    y, x = ((n - 1) / 2 for n in images.shape[1:])
    phase = np.exp(2j * np.pi * np.add.outer(f * y, f * x))
    # a bright first row or column would be common to all images
    window = np.outer(*(taper(n, TAPERED_SHARE) for n in images.shape[1:]))
    spectra = fft.fftshift(fft.fft2(images * window, (size, size)), axes=(1, 2)) * phase
    return np.asarray(spectra, np.complex128)


def _line_incoherence(lines: Complex64, shifted: Complex64) -> float:
    """Shift each line [image, k] to the mean line, and return the fraction not in common.

    Mean and fraction are those of the lines that agree best, without `ODD_SHARE` of them.
    `shifted` holds the phase factors [k, lag] of all shifts.
    """
    odd = int(ODD_SHARE * len(lines)) if len(lines) >= FEWEST_TO_LEAVE_OUT else 0
    agreeing = np.arange(len(lines))
    for _ in range(ROUNDS):
        correlation = ((lines * np.conj(lines[agreeing].mean(axis=0))) @ shifted).real
        lines = lines * shifted[:, correlation.argmax(axis=1)].T
        difference = (np.abs(lines - lines[agreeing].mean(axis=0)) ** 2).sum(axis=1)
        agreeing = np.argsort(difference)[: len(lines) - odd]
    used = lines[agreeing]
    common = float((np.abs(used.mean(axis=0)) ** 2).sum())
    return 1 - common / max(float((np.abs(used) ** 2).sum(axis=1).mean()), 1e-30)
