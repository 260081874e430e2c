"""Coarse volumes of the isosurface views, and the exit surface of a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from controller.model.base import SeriesName
from controller.report.open_volumes import SIRT_FILES, VolumeName, open_volumes
from controller.report.report_data import ReportData
from controller.report.slices import EXITS
from controller.report.views.assembly import Assembly
from controller.report.volumes import (
    ENVELOPE_LEVEL,
    IDENTITY,
    SMOOTH_DIAMETERS,
    Floats,
    Pose,
    Volume,
)

SERIES: tuple[SeriesName, ...] = ("A", "B")
MOST_SAMPLES = 112
"""Largest number of samples along one edge of a coarse volume."""
MOST_PLANES = 2 * MOST_SAMPLES
"""Largest number of planes of the volume that are read."""
FINEST_DIAMETERS = 0.25
"""Distance of two samples, in diameters: finer ones show no more of a particle."""
GREY_STEP = 4
"""Step of the stored values: coarser than the noise, so that they compress well."""
BRIGHTEST = 252
"""Largest stored value."""
BRIGHTEST_PERCENTILE = 99.95
"""Percentile of the coarse values that is stored as `BRIGHTEST`."""


@dataclass(frozen=True)
class CoarseVolume:
    """Part of a volume that shows the assembly, binned."""

    values: Floats
    """[z, y, x]."""
    step_nm: float
    """Distance of two samples."""
    first_nm: NDArray[np.float64]
    """Place of the first sample (x, y, z), in the volume's own coordinates."""
    pose: Pose

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Affine matrix [4, 4] from the unit cube about 0, which holds the samples, to A."""
        size = self.step_nm * (np.array(self.values.shape[::-1]) - 1)
        turned = self.pose.scale * self.pose.matrix
        matrix = np.eye(4)
        matrix[:3, :3] = turned * size
        matrix[:3, 3] = turned @ (self.first_nm + size / 2) + self.pose.shift_nm
        return matrix


@dataclass(frozen=True)
class Surface:
    """Triangles of a surface, in the coordinates of A."""

    corners_nm: Floats
    """[n, (x, y, z)]."""
    triangles: NDArray[np.uint32]
    """[m, 3]: corners of each triangle."""


def coarse_volumes(data: ReportData, assembly: Assembly) -> dict[VolumeName, CoarseVolume]:
    """Average each SIRT volume that exists, about the particles."""
    finest_nm = FINEST_DIAMETERS * assembly.diameter_nm
    with open_volumes(data, SIRT_FILES) as volumes:
        return {
            name: coarse_volume(volume, assembly.middle_nm, assembly.reach_nm, finest_nm)
            for name, volume in volumes.items()
        }


def coarse_volume(
    volume: Volume, middle_nm: Floats, reach_nm: float, finest_nm: float
) -> CoarseVolume:
    """Average a volume over cells, within a cube about `middle_nm` in the coordinates of A.

    The cells are not smaller than `finest_nm`, and at most `MOST_SAMPLES` in a row.
    """
    pose, pixel_nm = volume.pose, volume.pixel_nm
    own_nm = (middle_nm - pose.shift_nm) @ pose.matrix / pose.scale
    half = (np.array(volume.shape, float) - 1) / 2
    centre, reach = own_nm[::-1] / pixel_nm + half, reach_nm / pixel_nm
    low = np.clip(np.floor(centre - reach).astype(int), 0, np.array(volume.shape) - 2)
    high = np.clip(np.ceil(centre + reach).astype(int) + 1, low + 2, volume.shape)
    sides = high - low
    cell = max(1.0, finest_nm / pixel_nm, float(sides.max()) / MOST_SAMPLES)
    read = min(int(sides[0]), MOST_PLANES)
    planes = low[0] + ((np.arange(read) + 0.5) * sides[0] / read).astype(int)
    across_z = _cell_means(read, cell * read / sides[0])
    across_y, across_x = (_cell_means(int(side), cell) for side in sides[1:])
    rows, columns = slice(low[1], high[1]), slice(low[2], high[2])
    binned = [across_y @ volume.plane(int(z))[rows, columns] @ across_x.T for z in planes]
    values = np.tensordot(across_z, np.stack(binned), axes=1)
    first = (low + cell / 2 - 0.5 - half)[::-1] * pixel_nm
    return CoarseVolume(np.ascontiguousarray(values), cell * pixel_nm, first, pose)


def _cell_means(count: int, cell: float) -> Floats:
    """Return the matrix that averages `count` samples over cells of `cell` samples."""
    starts = np.arange(max(int(count / cell), 2))[:, None] * cell
    samples = np.arange(count)
    overlap = np.minimum(samples + 1, starts + cell) - np.maximum(samples, starts)
    return np.asarray(np.clip(overlap, 0, None) / cell, np.float32)


def grey_values(values: Floats) -> Floats:
    """Return a volume as grey values: 0 where it is not above 0, `BRIGHTEST` at its brightest."""
    top = max(float(np.percentile(values[::2, ::2, ::2], BRIGHTEST_PERCENTILE)), 1e-12)
    return np.asarray(BRIGHTEST * np.clip(values / top, 0, 1), np.float32)


def as_bytes(values: Floats) -> NDArray[np.uint8]:
    """Return the grey values of a volume as bytes, in steps of `GREY_STEP`."""
    steps = np.rint(grey_values(values) / GREY_STEP).astype(np.uint8)
    return np.asarray(GREY_STEP * steps)


def level_of_particles(values: NDArray[np.uint8], step_nm: float, filled_nm3: float) -> int:
    """Return the level whose isosurface encloses the volume of the particles."""
    filled = filled_nm3 / (values.size * step_nm**3)
    level = float(np.percentile(values[::2, ::2, ::2], 100 * (1 - min(filled, 0.9))))
    return int(np.clip(level, 10, BRIGHTEST - 10))


def exit_surfaces(
    coarse: Mapping[VolumeName, CoarseVolume], diameter_nm: float
) -> dict[SeriesName, Surface]:
    """Return the surface where the beam leaves, of each series whose volume shows it."""
    found: dict[SeriesName, Surface] = {}
    for name in SERIES:
        if name in coarse:
            side = EXITS[name] if coarse[name].pose is IDENTITY else -1
            surface = exit_surface(coarse[name], diameter_nm, side)
            if surface is not None:
                found[name] = surface
    return found


def exit_surface(coarse: CoarseVolume, diameter_nm: float, side: int) -> Surface | None:
    """Return the lower (-1) or upper (+1) surface of the assembly, half a diameter outside.

    None if the volume does not show the whole assembly: its edge is no surface. The side is that
    in the volume's own coordinates.
    """
    values = np.maximum(coarse.values, 0)
    smooth = ndimage.gaussian_filter(values, SMOOTH_DIAMETERS * diameter_nm / coarse.step_nm)
    inside = smooth > ENVELOPE_LEVEL * float(np.percentile(smooth, 99))
    if not inside.any() or inside[[0, -1]].any():
        return None
    column = inside.any(axis=0)
    first = np.argmax(inside if side < 0 else inside[::-1], axis=0)
    rows = first if side < 0 else len(inside) - 1 - first
    z = coarse.first_nm[2] + rows * coarse.step_nm + side * diameter_nm / 2
    y, x = (
        coarse.first_nm[axis] + np.arange(count) * coarse.step_nm
        for axis, count in ((1, column.shape[0]), (0, column.shape[1]))
    )
    surface = _mesh(x, y, _smoothed(z, column), column)
    pose = coarse.pose
    in_a = pose.scale * surface.corners_nm @ pose.matrix.T + pose.shift_nm
    return Surface(in_a.astype(np.float32), surface.triangles)


def _smoothed(z: NDArray[np.float64], column: NDArray[np.bool_]) -> NDArray[np.float64]:
    weight = ndimage.gaussian_filter(column.astype(float), 1.0)
    mean = ndimage.gaussian_filter(np.where(column, z, 0), 1.0)
    return np.asarray(mean / np.maximum(weight, 1e-9))


def _mesh(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    column: NDArray[np.bool_],
) -> Surface:
    whole = column[:-1, :-1] & column[1:, :-1] & column[:-1, 1:] & column[1:, 1:]
    row, place = np.nonzero(whole)
    width = column.shape[1]
    corner = row * width + place
    corners = np.stack([corner, corner + 1, corner + width, corner + width + 1], axis=-1)
    triangles = corners[:, [0, 1, 2, 1, 3, 2]].reshape(-1, 3)
    used, renumbered = np.unique(triangles, return_inverse=True)
    places = np.stack([*np.meshgrid(x, y), z], axis=-1).reshape(-1, 3)[used]
    return Surface(places.astype(np.float32), renumbered.reshape(-1, 3).astype(np.uint32))
