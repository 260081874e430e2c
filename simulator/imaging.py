"""HAADF imaging: from the particles in the holder to the fraction of the beam detected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from controller.model.scan import ScanSettings
from simulator import optics, stage
from simulator.settings import (
    OpticsSettings,
    ScanDistortionSettings,
    SimulatorSettings,
    SpecimenSettings,
)
from simulator.specimen import Particles

Array = NDArray[np.float64]

CARBON_FRACTION_PER_NM = 1.0e-4
"""Fraction of the beam that 1 nm of carbon scatters to 62-250 mrad.

Elastic mean free path 290 nm (Langmore and Smith, 2 g/cm3); 3 % of it reaches these angles."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Specimen and focus during one frame."""

    particles: Particles
    carbon_nm: float
    """Thickness of film and contamination."""
    scan_mirrored: bool = False
    focus_nm: float = 0.0
    """Height of the focus above the tilt axis."""


def carbon_nm(dose_e_per_A2: float, settings: SpecimenSettings) -> float:
    """Return the thickness of film and contamination after a dose, nm."""
    grown = -np.expm1(-dose_e_per_A2 / settings.contamination_dose_e_per_A2)
    return float(settings.film_thickness_nm + settings.contamination_nm * grown)


def focus_nm(defocus_nm: float, time_s: float, settings: OpticsSettings) -> float:
    """Return the height of the focus above the tilt axis, nm, at a time of the microscope clock."""
    drifted_nm = settings.focus_drift_nm_per_h * time_s / 3600.0
    return settings.focus_error_nm + drifted_nm + defocus_nm


def beam_fraction_image(
    scene: Scene,
    start: stage.HolderPose,
    end: stage.HolderPose,
    scan: ScanSettings,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the fraction of the beam [y, x] that reaches the detector.

    `start` and `end` are the poses of the holder at the first and the last pixel. A line takes
    much less time than the frame. Each particle is therefore drawn with the pose at the time when
    its line was scanned, which is taken from the pose at the first pixel.
    """
    centres_nm = scene.particles.centres_nm
    turn_deg = settings.scan.rotation_deg
    v_nm = in_scan(stage.holder_to_beam(centres_nm, start), turn_deg)[:, 1]
    progress = np.clip(v_nm / (scan.height_px * scan.pixel_nm) + 0.5, 0.0, 1.0)
    positions = stage.holder_to_beam_in_motion(centres_nm, start, end, progress)
    positions = in_scan(positions, turn_deg)
    positions[:, 2] -= scene.focus_nm
    positions[:, :2] = _distort(positions[:, :2], settings.scan)
    shown = replace(scene.particles, centres_nm=positions)
    if shown.quaternions is not None and len(shown):
        tilts_deg = start.alpha_deg + progress * (end.alpha_deg - start.alpha_deg)
        tilt = Rotation.from_euler("y", tilts_deg[:, None], degrees=True)
        shown = shown.moved(positions, Rotation.from_euler("z", turn_deg, degrees=True) * tilt)
    image = optics.render(shown, scan, settings.optics)
    if scene.scan_mirrored:
        image = image[:, ::-1]
    tilts_deg = np.linspace(start.alpha_deg, end.alpha_deg, scan.height_px)[:, None]
    carbon = CARBON_FRACTION_PER_NM * scene.carbon_nm / np.cos(np.deg2rad(tilts_deg))
    return _jitter_lines(image, settings.scan.line_jitter_px, rng) + carbon.astype(np.float32)


def in_scan(points_nm: Array, rotation_deg: float) -> Array:
    """Return points [n, 3], (u, v, height) along the stage's axes, along those of a turned scan."""
    if rotation_deg == 0.0:
        return points_nm
    turn = Rotation.from_euler("z", rotation_deg, degrees=True)
    return np.asarray(turn.apply(points_nm))


def _distort(points: Array, settings: ScanDistortionSettings) -> Array:
    """Return the positions [n, 2] of the points in the distorted raster."""
    u, v = points.T
    return np.column_stack([u + settings.shear * v, v * (1.0 + settings.stretch)])


def _jitter_lines(
    image: NDArray[np.float32], jitter_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Shift each line by a random error, with a phase ramp in Fourier space."""
    if jitter_px == 0.0:
        return image
    shifts = rng.normal(0.0, jitter_px, (len(image), 1))
    ramp = np.exp(-2j * np.pi * np.fft.rfftfreq(image.shape[1]) * shifts)
    return np.fft.irfft(np.fft.rfft(image) * ramp, image.shape[1]).astype(np.float32)
