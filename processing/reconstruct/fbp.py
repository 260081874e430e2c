"""Weighted filtered backprojection for any set of angles: quick looks and live volumes."""

from __future__ import annotations

import numpy as np
from scipy import fft

from processing.parallel import worker_threads
from processing.reconstruct.projector import Projector
from processing.series import Float32, Float64, TiltSeries


def angular_weights(angles_rad: Float64) -> Float64:
    """Arc that each tilt stands for, radians: half the way to its neighbours on either side.

    Repeated angles share their arc; the outermost tilts get the step of their one neighbour, so
    that the missing wedge stays empty.
    """
    distinct, place, repeats = np.unique(
        np.round(angles_rad, 6), return_inverse=True, return_counts=True
    )
    if len(distinct) == 1:
        return np.full(len(angles_rad), np.pi / len(angles_rad))
    steps = np.diff(distinct)
    arcs = (np.r_[steps[0], steps] + np.r_[steps, steps[-1]]) / 2
    return np.asarray((arcs / repeats)[place], np.float64)


def filtered(images: Float32) -> Float32:
    """Images [..., u] filtered by a ramp under a Hann window: 0 at zero and at Nyquist."""
    columns = images.shape[-1]
    length = fft.next_fast_len(2 * columns, real=True)
    frequency = np.fft.rfftfreq(length)
    window = (frequency * np.cos(np.pi * frequency) ** 2).astype(np.float32)
    spectrum = fft.rfft(images, length, axis=-1, workers=worker_threads()) * window
    full: Float32 = fft.irfft(spectrum, length, axis=-1, workers=worker_threads())
    return full[..., :columns]


def fbp_series(series: TiltSeries, depth: int | None = None) -> Float32:
    """Volume [z, y, x] of an aligned series."""
    used = series.usable()
    weights = angular_weights(used.angles_rad).astype(np.float32)
    projector = Projector(used.angles_rad, used.images.shape[2], depth)
    return projector.backward(filtered(used.images) * weights[:, None, None])
