"""Where the assembly lies in its volume, so that the pictures show it and little else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.report.volumes import Floats, Plane, Volume, envelope

FIELD_MARGIN = 1.06
"""Width of the pictures over the assembly's."""


@dataclass(frozen=True)
class Frame:
    """Where the assembly is: its lowest and highest z, the field that shows it, its middle y."""

    low_nm: float
    high_nm: float
    field_nm: float
    middle_y_nm: float = 0.0


def frame_of_particles(table: Floats, diameter_nm: float) -> Frame:
    """From the particles' centres [n, (x, y, z)]."""
    low, high = (float(value) for value in (table[:, 2].min(), table[:, 2].max()))
    half = float(np.abs(table).max()) + diameter_nm
    y = np.sort(table[:, 1])
    return Frame(low, high, FIELD_MARGIN * 2 * half, float(y[len(y) // 2]))


def frame_of_volume(volume: Volume, diameter_nm: float) -> Frame:
    """Where no particle was counted: from the envelope of what was reconstructed."""
    side = max(volume.shape)
    plane = Plane.xz(side, volume.pixel_nm)
    rows = np.flatnonzero(envelope(volume.on(plane), diameter_nm / volume.pixel_nm).any(axis=1))
    if len(rows) == 0:
        return Frame(0.0, 0.0, side * volume.pixel_nm)
    low, high = ((rows[[0, -1]] - (side - 1) / 2) * volume.pixel_nm).tolist()
    return Frame(low, high, FIELD_MARGIN * 2 * max(-low, high))


def read_centres(path: Path) -> Floats:
    """Centres [n, (x, y, z)], nm, of a particle table; none where there is no table."""
    try:
        return np.loadtxt(path, np.float32, delimiter=",", skiprows=1, usecols=(1, 2, 3), ndmin=2)
    except (OSError, ValueError, UserWarning):
        return np.zeros((0, 3), np.float32)
