"""Simulated series for benchmarks."""

from __future__ import annotations

import numpy as np

from controller.microscope.interface import ScanSettings
from processing.series import TiltSeries
from simulator.series import DualSeries, Series, simulate_dual
from simulator.settings import SimulatorSettings, SpecimenSettings

A_DEG = np.arange(-70.0, 75.0, 2.0)
B_DEG = np.arange(-74.0, 73.0, 2.0)
CURRENT_PA = 70.0
DWELL_US = 5.0


def recorded(assembly_nm: float, pixels: int, pixel_nm: float) -> DualSeries:
    """Both series of an fcc assembly, 73 and 74 tilts, and its truth."""
    scan = ScanSettings(width_px=pixels, height_px=pixels, dwell_us=DWELL_US, pixel_nm=pixel_nm)
    specimen = SpecimenSettings(assembly_diameter_nm=assembly_nm)
    settings = SimulatorSettings(seed=1, specimen=specimen)
    return simulate_dual(settings, scan, A_DEG, B_DEG, CURRENT_PA)


def tilt_series(raw: Series, pixel_nm: float, name: str) -> TiltSeries:
    """A raw series as it is read from a file."""
    return TiltSeries(raw.counts.astype(np.float32), raw.reported_deg, pixel_nm, name=name)
