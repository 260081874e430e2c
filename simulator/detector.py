"""From the share of the beam on the detector to counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.microscope.interface import ELEMENTARY_CHARGE_C
from simulator.settings import DetectorSettings


def electrons_per_pixel(current_pA: float, dwell_us: float) -> float:
    """Electrons in the probe while it dwells on one pixel."""
    return current_pA * 1e-12 * dwell_us * 1e-6 / ELEMENTARY_CHARGE_C


def record(
    share: NDArray[np.float32],
    beam_electrons: float,
    settings: DetectorSettings,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Count the beam's `share` [y, x]: Poisson electrons, gain, dark level, noise, clipping."""
    electrons = rng.poisson(np.maximum(share, 0.0) * beam_electrons)
    noise = settings.read_noise_counts * rng.standard_normal(share.shape, dtype=np.float32)
    counts = settings.dark_counts + settings.counts_per_electron * electrons + noise
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)
