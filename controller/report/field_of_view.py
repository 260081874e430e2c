"""Field of view of the slices: the assembly with a small margin."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from controller.common.open_inside import open_inside
from controller.report.volumes import Floats, Plane, Volume, envelope

LARGEST_NM = 1e9
"""Largest coordinate of a table that is shown."""
FIELD_MARGIN = 1.06
"""Width of the slices, relative to that of the assembly."""


@dataclass(frozen=True)
class FieldOfView:
    """Lowest and highest z of the assembly, width of the field that shows it, its middle y."""

    low_nm: float
    high_nm: float
    width_nm: float
    middle_y_nm: float = 0.0


def field_of_particles(table: Floats, diameter_nm: float) -> FieldOfView:
    """Return the field of view around the centres [n, (x, y, z)] of the particles."""
    low, high = (float(value) for value in (table[:, 2].min(), table[:, 2].max()))
    half = float(np.abs(table).max()) + diameter_nm
    y = np.sort(table[:, 1])
    return FieldOfView(low, high, FIELD_MARGIN * 2 * half, float(y[len(y) // 2]))


def field_of_volume(volume: Volume, diameter_nm: float) -> FieldOfView:
    """Return the field of view around the envelope of a volume, if no particles were counted."""
    side = max(volume.shape)
    plane = Plane.xz(side, volume.pixel_nm)
    rows = np.flatnonzero(
        envelope(volume.values_on(plane), diameter_nm / volume.pixel_nm).any(axis=1)
    )
    if len(rows) == 0:
        return FieldOfView(0.0, 0.0, side * volume.pixel_nm)
    low, high = ((rows[[0, -1]] - (side - 1) / 2) * volume.pixel_nm).tolist()
    return FieldOfView(low, high, FIELD_MARGIN * 2 * max(-low, high))


def read_centres(folder: Path, inside: str) -> Floats:
    """Read the centres [n, (x, y, z)], nm, of the counted particles of a table.

    Particles beside the object are left out. There are none if there is no table, or a value in it
    is no coordinate.
    """
    try:
        with open_inside(folder, inside) as file:
            rows = csv.DictReader(TextIOWrapper(file, "utf-8", newline=""))
            counted = [row for row in rows if str(row.get("beside")).lower() != "true"]
        centres = [[float(row[name]) for name in ("x_nm", "y_nm", "z_nm")] for row in counted]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        centres = []
    found = np.array(centres, np.float64).reshape(-1, 3)
    if not (np.abs(found) <= LARGEST_NM).all():
        return np.zeros((0, 3), np.float32)
    return found.astype(np.float32)
