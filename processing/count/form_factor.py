"""The mean particle's form factor, from images and known centres, and the diameter in it.

A ball's form factor has its first zero at q R = 4.4934 (tan x = x), whatever multiplies it. An
image is a sum of form factors, each under a gain (blur, response, the phase of a misplaced centre),
so its correlation with the centres' spectrum has that zero too. What it has beside the zero is less
sure: in a crystal the gain jumps from one Bragg peak to the next, by what is missed, made up or
misplaced. The fit therefore takes a gain for known only to some tens of per cent, which leaves the
zero to decide.

Where diameters spread by s (relative), the zero lies at that of mean (1 + s^2): 0.25 % for 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from processing.reconstruct.convolution import ball_form_factor
from processing.series import Float64, TiltSeries

FIRST_ZERO = 4.493409458
"""q R at the first zero of a ball's form factor: tan x = x."""
RINGS_A_PIXEL = 4
"""Rings of the spectrum are so much finer than its pixels: Bragg peaks are sharp."""
ENOUGH_TILTS = 24
"""Tilts that the form factor is taken from; all of them say the same."""
SEARCH_RANGE = 0.25
"""The diameter is looked for within this share of the one given."""
AROUND_ZERO = 0.25
"""Reach of the fit to either side of the zero, as a share of its q."""
GAIN_DOUBT = 0.3
"""Standard deviation of a ring's gain, as a share of the smooth one."""
SOFT_ZERO = 0.01
"""Form factor, of its value at q = 0, that a ring may hold where the mean particle has none."""
FEWEST_RINGS = 6


@dataclass(frozen=True)
class FormFactor:
    """Radial form factor of the mean particle.

    Attributes
    ----------
    q_per_px
        [ring] radians a pixel.
    value
        [ring] F(q), in the images' units times square pixels.
    variance
        [ring] of `value`, by what the centres do not explain.
    """

    q_per_px: Float64
    value: Float64
    variance: Float64


def mean_form_factor(series: TiltSeries, centres_px: Float64) -> FormFactor:
    """Form factor of the mean of the particles at `centres_px` [n, 3] (x, y, z).

    Least squares over some tilts: F(q) = sum I(q) S*(q) / sum |S(q)|^2, with S the spectrum of the
    projected centres. A ring's q is the mean over the same weights.
    """
    rows, columns = series.images.shape[1:]
    q = 2 * np.pi * np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]).ravel()
    ring_width = 2 * np.pi / max(rows, columns) / RINGS_A_PIXEL
    ring = (q / ring_width).astype(int)
    product, power, moment, signal = np.zeros((4, ring.max() + 1))
    step = max(1, series.tilts // ENOUGH_TILTS)
    for image, angle in zip(series.images[::step], series.angles_rad[::step], strict=True):
        u = centres_px[:, 0] * np.cos(angle) + centres_px[:, 2] * np.sin(angle)
        structure = point_spectrum(centres_px[:, 1], u, (rows, columns)).ravel()
        spectrum = fft.rfft2(image).ravel()
        weight = np.abs(structure) ** 2
        product += np.bincount(ring, (spectrum * structure.conj()).real)
        power += np.bincount(ring, weight)
        moment += np.bincount(ring, weight * q)
        signal += np.bincount(ring, np.abs(spectrum) ** 2)
    pixels = np.bincount(ring) * len(series.images[::step])
    inside = (power > 0) & (np.arange(len(power)) < int(np.pi / ring_width))
    product, power, moment = product[inside], power[inside], moment[inside]
    unexplained = (signal[inside] - product**2 / power) / (2 * pixels[inside])
    return FormFactor(moment / power, product / power, unexplained / power)


def diameter_at_zero(measured: FormFactor, near_px: float) -> float:
    """Diameter, pixels, whose first zero is that of a form factor; near is within a quarter.

    Maximum likelihood over trial diameters: a ball under a gain a + b q, known to GAIN_DOUBT in
    each ring on top of the noise. The window follows the zero until it stays.
    """
    trials = near_px * np.linspace(1 - SEARCH_RANGE, 1 + SEARCH_RANGE, 101)
    diameter_px = near_px
    for _ in range(4):
        zero = 2 * FIRST_ZERO / diameter_px
        near = np.abs(measured.q_per_px / zero - 1) < AROUND_ZERO
        if near.sum() < FEWEST_RINGS:
            return diameter_px
        window = FormFactor(measured.q_per_px[near], measured.value[near], measured.variance[near])
        unlikeliness = np.array([_unlikeliness(window, trial) for trial in trials])
        before, diameter_px = diameter_px, _lowest(trials, unlikeliness)
        if abs(diameter_px / before - 1) < 1e-3:
            break
    return diameter_px


def _unlikeliness(measured: FormFactor, diameter_px: float) -> float:
    """Minus twice the log likelihood of a diameter, up to a constant.

    A gain that changes sign would put a zero anywhere: it is infinitely unlikely.
    """
    q = measured.q_per_px
    ball = ball_form_factor(q, diameter_px) / ball_form_factor(np.zeros(1), diameter_px)
    basis = np.stack([np.ones(len(q)), q / q.mean() - 1], axis=1)
    size = np.hypot(ball, SOFT_ZERO)
    gain = np.full(len(q), np.median(np.abs(measured.value) / size))
    for _ in range(3):
        variance = measured.variance + (GAIN_DOUBT * gain * size) ** 2
        root = np.sqrt(variance)
        model = basis * (ball / root)[:, None]
        gain = basis @ np.linalg.lstsq(model, measured.value / root, rcond=None)[0]
    if gain.min() <= 0:
        return np.inf
    misfit = (measured.value - gain * ball) ** 2 / variance
    return float(np.sum(misfit + np.log(variance)))


def _lowest(trials: Float64, values: Float64) -> float:
    """Where `values` are lowest, by a parabola through the lowest and its neighbours."""
    best = int(np.argmin(values))
    near = values[best - 1 : best + 2]
    if len(near) < 3 or not np.isfinite(near).all():
        return float(trials[best])
    left, middle, right = near
    aside = 0.5 * (left - right) / max(left - 2 * middle + right, 1e-12)
    return float(trials[best] + np.clip(aside, -0.5, 0.5) * (trials[1] - trials[0]))


def point_spectrum(
    row_px: Float64, column_px: Float64, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.complex128]]:
    """`rfft2` of points given from the image's centre.

    Bilinear on a grid twice as fine, its sinc^2 divided out again: good to a few per mille.
    """
    fine = np.zeros([2 * n for n in shape])
    row = 2 * (row_px + (shape[0] - 1) / 2)
    column = 2 * (column_px + (shape[1] - 1) / 2)
    first_row, first_column = np.floor(row).astype(int), np.floor(column).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - np.abs(row - first_row - down)) * (
                1 - np.abs(column - first_column - right)
            )
            place = ((first_row + down) % fine.shape[0], (first_column + right) % fine.shape[1])
            np.add.at(fine, place, weight)
    spectrum = fft.rfft2(fine)
    half = shape[0] // 2
    kept = np.r_[0 : shape[0] - half, fine.shape[0] - half : fine.shape[0]]
    spectrum = spectrum[kept][:, : shape[1] // 2 + 1]
    droop = np.sinc(np.fft.fftfreq(shape[0]) / 2)[:, None] * np.sinc(np.fft.rfftfreq(shape[1]) / 2)
    return np.asarray(spectrum / droop**2, np.complex128)
