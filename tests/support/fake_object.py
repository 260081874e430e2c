"""Object on the stage of the fake microscope, and its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition

Array = NDArray[np.float64]

OBJECT_RADIUS_NM = 12.0
NOMINAL_DWELL_US = 10.0
"""Dwell time at which the object gives its nominal counts."""
PARTICLES_NM = np.random.default_rng(1).normal(0.0, 4.5, (60, 3))
"""Positions (x, y, z) of the particles in the object; each is a spot of 1 nm."""


@dataclass(frozen=True)
class View:
    """State of stage, object and detector during one frame."""

    stage: StagePosition
    flipped: bool
    drift_nm: tuple[float, float]
    """Position (x, y) of the object relative to the stage."""
    size: float
    gain: float


def object_image(scan: ScanSettings, view: View) -> NDArray[np.uint16]:
    """Return the image [y, x] of a disc with particles that rotate with the tilt."""
    y, x = np.mgrid[: scan.height_px, : scan.width_px]
    middle = ((scan.height_px - 1) / 2, (scan.width_px - 1) / 2)
    v = (y - middle[0]) * scan.pixel_nm - view.stage.y_nm - view.drift_nm[1]
    across_nm = view.stage.x_nm * np.cos(np.deg2rad(view.stage.alpha_deg))
    u = (x - middle[1]) * scan.pixel_nm - across_nm - view.drift_nm[0]
    u, v = u / view.size, v / view.size
    disc = np.hypot(u, v) < OBJECT_RADIUS_NM
    signal = disc * (500.0 + _particles(u, v, view)) * view.gain
    return np.asarray(100.0 + signal * scan.dwell_us / NOMINAL_DWELL_US, np.uint16)


def _particles(u: Array, v: Array, view: View) -> Array:
    """Return the signal [y, x] of the particles, projected at the tilt of the stage."""
    flip = np.array([1.0, -1.0, -1.0]) if view.flipped else np.ones(3)
    x, y, z = (flip * PARTICLES_NM).T
    alpha = np.deg2rad(view.stage.alpha_deg)
    across = u[0] - (x * np.cos(alpha) + z * np.sin(alpha))[:, None]
    along = v[:, :1] - y
    return np.asarray(150.0 * np.exp(-(along**2) / 2) @ np.exp(-(across**2) / 2))
