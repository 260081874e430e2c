"""Planes through the reconstructed volumes, all in the coordinates of A."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.float32]
ENVELOPE_LEVEL = 0.35
"""Smoothed value at the surface of the assembly, as a fraction of the brightest."""
SMOOTH_DIAMETERS = 0.8
"""Sigma of the smoothing that closes the gaps between particles, in diameters."""


@dataclass(frozen=True)
class Pose:
    """Pose of a volume in A: p_A = scale matrix . p + shift_nm, (x, y, z), nm."""

    matrix: NDArray[np.float64]
    shift_nm: NDArray[np.float64]
    scale: float = 1.0


IDENTITY = Pose(np.eye(3), np.zeros(3))
"""Pose of a volume that is already in the coordinates of A."""


@dataclass(frozen=True)
class Plane:
    """Points of a plane in the coordinates of A, [row, column, (x, y, z)], nm."""

    points_nm: NDArray[np.float64]
    pixel_nm: float
    normal: NDArray[np.float64]

    def moved(self, along_nm: float) -> Plane:
        """Return a parallel plane."""
        return replace(self, points_nm=self.points_nm + along_nm * self.normal)

    @classmethod
    def xz(cls, side_px: int, pixel_nm: float, y_nm: float = 0.0) -> Plane:
        """Return a plane across the tilt axis: columns along x, rows along z."""
        x, z = _grid(side_px, pixel_nm)
        return cls(np.stack([x, np.full_like(x, y_nm), z], axis=-1), pixel_nm, np.eye(3)[1])

    @classmethod
    def xy(cls, side_px: int, pixel_nm: float, z_nm: float) -> Plane:
        """Return a plane across the beam at 0 degrees: columns along x, rows along y."""
        x, y = _grid(side_px, pixel_nm)
        return cls(np.stack([x, y, np.full_like(x, z_nm)], axis=-1), pixel_nm, np.eye(3)[2])


def _grid(side_px: int, pixel_nm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = (np.arange(side_px) - (side_px - 1) / 2) * pixel_nm
    columns, rows = np.meshgrid(along, along)
    return columns, rows


class Volume:
    """A volume [z, y, x] on disk, of which only the needed parts are read.

    Raises
    ------
    ValueError, OSError
        The file is not a complete MRC volume.
    """

    def __init__(self, path: Path, pose: Pose = IDENTITY) -> None:
        self._file: Any = mrcfile.mmap(path, mode="r")
        self._data = self._file.data
        self.pose = pose
        self.pixel_nm = float(self._file.voxel_size.x) / 10
        self.shape: tuple[int, int, int] = self._data.shape

    def plane(self, z_index: int) -> Floats:
        """Return one plane [y, x] of the volume as it is stored."""
        return np.asarray(self._data[z_index], np.float32)

    def values_on(self, plane: Plane) -> Floats:
        """Return the values on a plane in the coordinates of A, [row, column]; 0 outside."""
        pose = self.pose
        moved = (plane.points_nm - pose.shift_nm) @ pose.matrix / pose.scale  # inverse, transposed
        middle = (np.array(self.shape, float) - 1) / 2
        index = np.moveaxis(moved[..., ::-1] / self.pixel_nm + middle, -1, 0)
        return self._interpolated(index)

    def _interpolated(self, index: NDArray[np.float64]) -> Floats:
        # read only the slab that the plane crosses
        low = np.clip(np.floor(index.min(axis=(1, 2))).astype(int), 0, np.array(self.shape) - 1)
        high = np.clip(np.ceil(index.max(axis=(1, 2))).astype(int) + 1, low + 1, self.shape)
        slab = np.asarray(self._data[tuple(map(slice, low, high))], np.float32)
        return np.asarray(
            ndimage.map_coordinates(slab, index - low[:, None, None], order=1), np.float32
        )

    def spheres_on(self, plane: Plane, diameter_nm: float) -> Floats:
        """Return the section through spheres whose centres this volume holds, [row, column].

        Each plane of centres nearer than a radius adds discs: sections of its spheres.
        """
        radius = diameter_nm / 2
        steps = np.arange(-np.floor(radius / plane.pixel_nm), radius / plane.pixel_nm + 1e-9)
        image = np.zeros(plane.points_nm.shape[:2], np.float32)
        for offset_nm in steps * plane.pixel_nm:
            disc = _disc(np.sqrt(radius**2 - offset_nm**2) / plane.pixel_nm)
            image += _convolved(self.values_on(plane.moved(float(offset_nm))), disc)
        return image

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _convolved(image: Floats, disc: Floats) -> Floats:
    """Convolve an image with a smaller one, about its centre; there is nothing beyond the edge."""
    rows, columns = image.shape
    reach = len(disc) // 2
    shape = [fft.next_fast_len(n + 2 * reach, real=True) for n in image.shape]
    full = fft.irfft2(fft.rfft2(image, shape) * fft.rfft2(disc, shape), shape)
    return np.asarray(full[reach : reach + rows, reach : reach + columns], np.float32)


def _disc(radius_px: float) -> Floats:
    reach = int(np.ceil(radius_px)) + 1
    along = np.arange(-reach, reach + 1)
    inside = radius_px - np.hypot(along[:, None], along)
    return np.asarray(np.clip(inside + 0.5, 0, 1), np.float32)


def envelope(image: Floats, diameter_px: float) -> NDArray[np.bool_]:
    """Return the mask of the assembly, with its particles and gaps, [row, column]."""
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
    """Return points (x_nm, z_nm) along the lower (-1) or upper (+1) surface in an x-z image.

    Empty if the image does not show the whole assembly: the edge of the image is no surface.
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
