"""Simulated series for benchmarks, and measurements on them in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from controller.model.scan import ScanSettings
from processing.series import TiltSeries
from simulator.series import DualSeries, simulate_dual
from simulator.settings import SimulatorSettings, SpecimenSettings

A_DEG = np.arange(-70.0, 75.0, 2.0)
B_DEG = np.arange(-74.0, 73.0, 2.0)
CURRENT_PA = 70.0
DWELL_US = 5.0


def recorded(
    assembly_nm: float, pixels: int, pixel_nm: float, dwell_us: float = DWELL_US
) -> DualSeries:
    """Simulate both series of an fcc assembly, 73 and 74 tilts, with its truth."""
    scan = ScanSettings(width_px=pixels, height_px=pixels, dwell_us=dwell_us, pixel_nm=pixel_nm)
    specimen = SpecimenSettings(assembly_diameter_nm=assembly_nm)
    settings = SimulatorSettings(seed=1, specimen=specimen)
    return simulate_dual(settings, scan, A_DEG, B_DEG, CURRENT_PA)


def in_child(module: str, dual: DualSeries, *words: str) -> dict[str, Any]:
    """Run a module on the series' file in a new process; return the JSON that it prints."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "counts.npz"
        np.savez(file, A=dual.a.counts, B=dual.b.counts)
        command = [sys.executable, "-m", module, str(file), *words]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    results: dict[str, Any] = json.loads(child.stdout)
    return results


def read_both(file: Path, pixel_nm: float) -> tuple[TiltSeries, TiltSeries]:
    """Read series A and B in the child process."""
    with np.load(file) as counts:
        a, b = (
            TiltSeries(counts[name].astype(np.float32), angles_deg, pixel_nm, name=name)
            for name, angles_deg in (("A", A_DEG), ("B", B_DEG))
        )
    return a, b
