"""Weighted filtered back-projection for any set of angles, for fast and for live volumes."""

from __future__ import annotations

import numpy as np
from scipy import fft

from processing.parallel import worker_threads
from processing.reconstruct.projector import Projector
from processing.series import Float32, Float64, TiltSeries


def angular_weights(angles_rad: Float64) -> Float64:
    """Return the arc of each tilt in radians, which ends halfway to each neighbour.

    Repeated angles share one arc. The outermost tilts get the full step to their only neighbour,
    so the missing wedge stays empty.
    """
    distinct, place, repeats = np.unique(
        np.round(angles_rad, 6), return_inverse=True, return_counts=True
    )
    if len(distinct) == 1:
        return np.full(len(angles_rad), np.pi / len(angles_rad))
    steps = np.diff(distinct)
    arcs = (np.r_[steps[0], steps] + np.r_[steps, steps[-1]]) / 2
    return np.asarray((arcs / repeats)[place], np.float64)


def ramp_filtered(images: Float32) -> Float32:
    """Filter images [..., u] along u by a ramp times a Hann window: 0 at zero and at Nyquist."""
    columns = images.shape[-1]
    length = fft.next_fast_len(2 * columns, real=True)
    frequency = np.fft.rfftfreq(length)
    window = (frequency * np.cos(np.pi * frequency) ** 2).astype(np.float32)
    spectrum = fft.rfft(images, length, axis=-1, workers=worker_threads()) * window
    full: Float32 = fft.irfft(spectrum, length, axis=-1, workers=worker_threads())
    return full[..., :columns]


def fbp_series(series: TiltSeries, depth: int | None = None) -> Float32:
    """Reconstruct a volume [z, y, x] from an aligned series."""
    used = series.usable()
    weights = angular_weights(used.angles_rad).astype(np.float32)
    projector = Projector(used.angles_rad, used.images.shape[2], depth)
    return projector.backward(ramp_filtered(used.images) * weights[:, None, None])
