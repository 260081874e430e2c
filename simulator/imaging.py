"""One HAADF frame, from the particles in the holder to the share of the beam on the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.microscope.interface import ScanSettings
from simulator import optics, stage
from simulator.settings import (
    OpticsSettings,
    ScanDistortionSettings,
    SimulatorSettings,
    SpecimenSettings,
)
from simulator.specimen import Particles

Array = NDArray[np.float64]

CARBON_SHARE_PER_NM = 1.0e-4
"""Share of the beam that 1 nm of carbon sends to 62-250 mrad: an elastic mean free path of
290 nm (Langmore and Smith, 2 g/cm3), of which 3 % reaches so far out."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What lies in the holder while one frame is taken."""

    particles: Particles
    carbon_nm: float
    """Film and contamination."""
    scan_mirrored: bool = False
    focus_nm: float = 0.0
    """Height of the focus over the tilt axis."""


def carbon_nm(dose_e_per_A2: float, settings: SpecimenSettings) -> float:
    """Film and what the beam has grown on it."""
    grown = -np.expm1(-dose_e_per_A2 / settings.contamination_dose_e_per_A2)
    return float(settings.film_thickness_nm + settings.contamination_nm * grown)


def focus_nm(defocus_nm: float, time_s: float, settings: OpticsSettings) -> float:
    """Height of the focus over the tilt axis, at a time of the microscope's clock."""
    drifted_nm = settings.focus_drift_nm_per_h * time_s / 3600.0
    return settings.focus_error_nm + drifted_nm + defocus_nm


def expose(
    scene: Scene,
    start: stage.Pose,
    end: stage.Pose,
    scan: ScanSettings,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the share of the beam [y, x] that reaches the detector.

    `start` and `end` are where the holder is at the first and the last pixel. A line is scanned
    in no time compared with the frame, so a particle is where it was when its line was scanned,
    at the tilt of that moment; tilting does not change which line that is.
    """
    centres_nm = scene.particles.centres_nm
    along_nm = centres_nm[:, 1] + start.y_nm + start.seen_nm[1]
    shares = np.clip(along_nm / (scan.height_px * scan.pixel_nm) + 0.5, 0.0, 1.0)
    seen = stage.tilted_on_the_way(centres_nm, start, end, shares)
    seen[:, 2] -= scene.focus_nm
    seen[:, :2] = _distorted(seen[:, :2], scene.scan_mirrored, settings.scan)
    image = optics.render(Particles(seen, scene.particles.diameters_nm), scan, settings.optics)
    tilts_deg = np.linspace(start.alpha_deg, end.alpha_deg, scan.height_px)[:, None]
    carbon = CARBON_SHARE_PER_NM * scene.carbon_nm / np.cos(np.deg2rad(tilts_deg))
    return _jittered(image, settings.scan.line_jitter_px, rng) + carbon.astype(np.float32)


def _distorted(points: Array, mirrored: bool, settings: ScanDistortionSettings) -> Array:
    """Where the raster shows the points [n, 2]."""
    u, v = points.T
    u = u + settings.shear * v
    return np.column_stack([-u if mirrored else u, v * (1.0 + settings.stretch)])


def _jittered(
    image: NDArray[np.float32], jitter_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Shift each line by its own error, by a phase ramp."""
    if jitter_px == 0.0:
        return image
    shifts = rng.normal(0.0, jitter_px, (len(image), 1))
    ramp = np.exp(-2j * np.pi * np.fft.rfftfreq(image.shape[1]) * shifts)
    return np.fft.irfft(np.fft.rfft(image) * ramp, image.shape[1]).astype(np.float32)
