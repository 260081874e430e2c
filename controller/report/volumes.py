"""Planes out of the reconstructed volumes, all in A's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Floats = NDArray[np.float32]
ENVELOPE_LEVEL = 0.35
"""Of the brightest smoothed value: where the assembly ends."""
SMOOTH_DIAMETERS = 0.8
"""Smoothing that closes the gaps between the particles."""


@dataclass(frozen=True)
class Pose:
    """Where a volume lies in A's frame: p_A = scale matrix . p + shift_nm, (x, y, z), nm."""

    matrix: NDArray[np.float64]
    shift_nm: NDArray[np.float64]
    scale: float = 1.0


IN_PLACE = Pose(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Plane:
    """Points of a plane in A's frame, [row, column, (x, y, z)], nm."""

    points_nm: NDArray[np.float64]
    pixel_nm: float
    normal: NDArray[np.float64]

    def moved(self, along_nm: float) -> Plane:
        """A parallel plane."""
        return replace(self, points_nm=self.points_nm + along_nm * self.normal)

    @classmethod
    def xz(cls, side_px: int, pixel_nm: float, y_nm: float = 0.0) -> Plane:
        """Across the tilt axis: columns along x, rows along z."""
        x, z = _grid(side_px, pixel_nm)
        return cls(np.stack([x, np.full_like(x, y_nm), z], axis=-1), pixel_nm, np.eye(3)[1])

    @classmethod
    def xy(cls, side_px: int, pixel_nm: float, z_nm: float) -> Plane:
        """Across the beam at 0 degrees: columns along x, rows along y."""
        x, y = _grid(side_px, pixel_nm)
        return cls(np.stack([x, y, np.full_like(x, z_nm)], axis=-1), pixel_nm, np.eye(3)[2])


def _grid(side_px: int, pixel_nm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = (np.arange(side_px) - (side_px - 1) / 2) * pixel_nm
    columns, rows = np.meshgrid(along, along)
    return columns, rows


class Volume:
    """A volume [z, y, x] on disk, read where it is looked at.

    Raises
    ------
    ValueError, OSError
        No whole MRC volume.
    """

    def __init__(self, path: Path, pose: Pose = IN_PLACE) -> None:
        self._file: Any = mrcfile.mmap(path, mode="r")
        self._data = self._file.data
        self._pose = pose
        self.pixel_nm = float(self._file.voxel_size.x) / 10
        self.shape: tuple[int, int, int] = self._data.shape

    def on(self, plane: Plane) -> Floats:
        """Values on a plane of A's frame, [row, column]; 0 outside."""
        pose = self._pose
        moved = (plane.points_nm - pose.shift_nm) @ pose.matrix / pose.scale  # inverse, transposed
        middle = (np.array(self.shape, float) - 1) / 2
        index = np.moveaxis(moved[..., ::-1] / self.pixel_nm + middle, -1, 0)
        return self._interpolated(index)

    def _interpolated(self, index: NDArray[np.float64]) -> Floats:
        # only the slab that the plane crosses is read
        low = np.clip(np.floor(index.min(axis=(1, 2))).astype(int), 0, np.array(self.shape) - 1)
        high = np.clip(np.ceil(index.max(axis=(1, 2))).astype(int) + 1, low + 1, self.shape)
        slab = np.asarray(self._data[tuple(map(slice, low, high))], np.float32)
        return np.asarray(
            ndimage.map_coordinates(slab, index - low[:, None, None], order=1), np.float32
        )

    def spheres_on(self, plane: Plane, diameter_nm: float) -> Floats:
        """Section through spheres whose centres this volume holds, [row, column].

        Every plane of centres within a radius gives discs of the radius left at its distance.
        """
        radius = diameter_nm / 2
        steps = np.arange(-np.floor(radius / plane.pixel_nm), radius / plane.pixel_nm + 1e-9)
        image = np.zeros(plane.points_nm.shape[:2], np.float32)
        for offset_nm in steps * plane.pixel_nm:
            disc = _disc(np.sqrt(radius**2 - offset_nm**2) / plane.pixel_nm)
            image += signal.fftconvolve(self.on(plane.moved(float(offset_nm))), disc, mode="same")
        return image

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _disc(radius_px: float) -> Floats:
    reach = int(np.ceil(radius_px)) + 1
    along = np.arange(-reach, reach + 1)
    inside = radius_px - np.hypot(along[:, None], along)
    return np.asarray(np.clip(inside + 0.5, 0, 1), np.float32)


def envelope(image: Floats, diameter_px: float) -> NDArray[np.bool_]:
    """Where the assembly is, particles and gaps alike, [row, column]."""
    smooth = ndimage.gaussian_filter(np.maximum(image, 0), SMOOTH_DIAMETERS * diameter_px)
    inside = smooth > ENVELOPE_LEVEL * float(np.percentile(smooth, 99))
    labels, n = ndimage.label(inside)
    if n == 0:
        return np.asarray(inside)
    largest = 1 + int(np.argmax(ndimage.sum_labels(inside, labels, range(1, n + 1))))
    return np.asarray(ndimage.binary_fill_holes(labels == largest))


def exit_surface(
    image: Floats, pixel_nm: float, diameter_nm: float, side: int
) -> list[tuple[float, float]]:
    """Line (x_nm, z_nm) along the assembly's lower (-1) or upper (+1) side in an x-z image.

    Empty where the picture does not show the whole assembly: its edge is no surface.
    """
    inside = envelope(image, diameter_nm / pixel_nm)
    columns = np.flatnonzero(inside.any(axis=0))
    cut_off = inside[[0, -1]].any() or inside[:, [0, -1]].any()
    if len(columns) < 3 or cut_off:
        return []
    rows = [np.flatnonzero(inside[:, column])[0 if side < 0 else -1] for column in columns]
    middle_row, middle_column = (np.array(image.shape) - 1) / 2
    x = (columns - middle_column) * pixel_nm
    z = ndimage.gaussian_filter1d((np.array(rows, float) - middle_row) * pixel_nm, 2.0)
    return [(float(a), float(b)) for a, b in zip(x, z, strict=True)]
