"""Detector: converts the fraction of the beam that reaches it to counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ELEMENTARY_CHARGE_C
from simulator.settings import DetectorSettings


def electrons_per_pixel(current_pA: float, dwell_us: float) -> float:
    """Return the number of electrons in the probe during the dwell time of one pixel."""
    return current_pA * 1e-12 * dwell_us * 1e-6 / ELEMENTARY_CHARGE_C


def to_counts(
    beam_fraction: NDArray[np.float32],
    beam_electrons: float,
    settings: DetectorSettings,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Convert `beam_fraction` [y, x] to counts: shot noise, gain, dark level, read noise, clip."""
    electrons = rng.poisson(np.maximum(beam_fraction, 0.0) * beam_electrons)
    noise = settings.read_noise_counts * rng.standard_normal(beam_fraction.shape, dtype=np.float32)
    counts = settings.dark_counts + settings.counts_per_electron * electrons + noise
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)
