"""Coarse registration of B onto A: every in-plane angle, flipped or not, mirrored or not.

The particles of A and B become smooth blobs on a grid of half a diameter. One pair of FFTs for each
angle gives the cross-correlation at all shifts. All hypotheses are searched, including the
physically impossible ones, which serve as controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.transform import Rotation

from processing.combine.pose import FLIP, Pose, about_z
from processing.device import CPU, Array, Device
from processing.series import Float32, Float64

ANGLE_STEP_DEG = 5.0
SEAT_TRIALS = 12
"""In-plane angles of each hypothesis that are also tried with a tilted seat."""
SEAT_TILT_DEG = 3.0
"""Tilt of the grid in its seat that is tried; refinement finds the rest."""
LARGEST_SHIFT_CELLS = 8
"""Largest distance between the mean positions of A and B, which miss different particles."""
INSIDE_SHARE = 0.99
"""Share of the particles of a series for which the grid is made. The others are often false
candidates far from the assembly: a grid for them all took twice the time."""
BLOB_CELLS = (0.7, 3.0)
"""Standard deviations, in cells, of a particle's blob and of the background subtracted from it."""

COPIES = 6
"""Arrays as large as the grid that exist at a time for each rotation."""


class Hypothesis(Enum):
    """Possible orientations of B relative to A."""

    FLIPPED = "flipped"
    SAME_SIDE = "same side up"
    MIRRORED_FLIPPED = "flipped and mirrored"
    MIRRORED = "same side up and mirrored"

    @property
    def mirror(self) -> Float64:
        """Matrix [3, 3] that undoes the mirroring of B, before the rotation; its own inverse."""
        mirrored = self in (Hypothesis.MIRRORED, Hypothesis.MIRRORED_FLIPPED)
        return np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])

    @property
    def rotation(self) -> Float64:
        """Proper rotation [3, 3] between the mirror and the rotation about z."""
        flipped = self in (Hypothesis.FLIPPED, Hypothesis.MIRRORED_FLIPPED)
        return FLIP if flipped else np.eye(3)


@dataclass(frozen=True)
class Candidate:
    """Start pose for the refinement."""

    hypothesis: Hypothesis
    pose: Pose
    correlation: float
    """Normalised cross-correlation of the blobs, 0..1."""


def coarse_candidates(
    points_a: Float64,
    points_b: Float64,
    diameter_nm: float,
    keep: int = 4,
    *,
    device: Device = CPU,
) -> list[Candidate]:
    """Return the `keep` best poses of every hypothesis, best first.

    First, all in-plane angles are tried without a seat tilt. A seat tilt of a few degrees can
    remove most of the right angle's lead, so the best angles of each hypothesis are then tried
    again with a tilted seat.
    """
    search = _Search(points_a, points_b, diameter_nm, device)
    angles = np.arange(-180.0, 180.0, ANGLE_STEP_DEG)
    rotations = [
        (hypothesis, about_z(float(angle)) @ hypothesis.rotation @ hypothesis.mirror)
        for hypothesis in Hypothesis
        for angle in angles
    ]
    untilted = search.best_shifts(rotations)
    best = [each for one in Hypothesis for each in _best(untilted, one, SEAT_TRIALS)]
    tilts = _seat_tilts()
    tilted = search.best_shifts(
        [(one.hypothesis, tilt @ one.pose.matrix) for one in best for tilt in tilts]
    )
    found = [
        max(one, *tilted[n * len(tilts) : (n + 1) * len(tilts)], key=_correlation)
        for n, one in enumerate(best)
    ]
    kept = [candidate for hypothesis in Hypothesis for candidate in _best(found, hypothesis, keep)]
    return sorted(kept, key=_correlation, reverse=True)


class _Search:
    """Cross-correlates B's blobs, rotated, with A's blobs over all shifts."""

    def __init__(
        self, points_a: Float64, points_b: Float64, diameter_nm: float, device: Device
    ) -> None:
        self._device = device
        self._cell_nm = diameter_nm / 2
        self._middle_a, self._middle_b = points_a.mean(axis=0), points_b.mean(axis=0)
        from_a, from_b = points_a - self._middle_a, points_b - self._middle_b
        # what lies farther out in one series has no partner in the other
        radius_nm = min(_radius_nm(from_a), _radius_nm(from_b))
        from_a, self._from_b = (_within(radius_nm, each) for each in (from_a, from_b))
        # wide enough that no shift in the search brings these round to the opposite side
        cells = int(np.ceil(2 * radius_nm / self._cell_nm)) + LARGEST_SHIFT_CELLS
        self._cells = fft.next_fast_len(cells, real=True)
        self._blob = device.to_device(_blob_transfer(self._cells))
        self._spectrum_a = self._spectra(from_a[None])
        self._power_a = self._powers(self._spectrum_a)

    def best_shifts(self, rotations: list[tuple[Hypothesis, Float64]]) -> list[Candidate]:
        """Find the best shift for every rotation [3, 3] of B."""
        rotation_bytes = 8 * (COPIES * self._cells**3 + 3 * len(self._from_b))
        parts = self._device.blocks_of_one(len(rotations), rotation_bytes)

        def best_of(part: slice) -> list[Candidate]:
            return self._best_of(rotations[part])

        return [found for several in self._device.map(best_of, parts) for found in several]

    def _best_of(self, rotations: list[tuple[Hypothesis, Float64]]) -> list[Candidate]:
        matrices = np.stack([matrix for _, matrix in rotations])
        shifts = np.arange(-LARGEST_SHIFT_CELLS, LARGEST_SHIFT_CELLS + 1)
        rotated = self._spectra(self._from_b @ np.swapaxes(matrices, 1, 2))
        near = self._correlations_near(rotated.conj() * self._spectrum_a, shifts)
        norms = np.sqrt(self._power_a * self._powers(rotated))
        found = []
        for (hypothesis, matrix), values, norm in zip(rotations, near, norms, strict=True):
            best = np.unravel_index(int(values.argmax()), values.shape)
            step_nm = self._cell_nm * shifts[list(best[::-1])]
            shift_nm = step_nm + self._middle_a - matrix @ self._middle_b
            # no particle of one series may lie within the radius of the other: nothing to compare
            correlation = float(values.max() / norm) if norm else 0.0
            found.append(Candidate(hypothesis, Pose(matrix, shift_nm), correlation))
        return found

    def _spectra(self, points_nm: Float64) -> Array:
        """Return the spectra [set, z, y, x] of the blobs at sets of points [set, n, 3]."""
        points = self._points_per_cell(points_nm)
        spectra = self._device.fft.rfftn(points, axes=(1, 2, 3)) * self._blob
        return self._device.xp.asarray(spectra, dtype=np.complex64)

    def _points_per_cell(self, points_nm: Float64) -> Array:
        """Count the points in each cell. The origin is cell 0; negative positions wrap round."""
        xp, shape = self._device.xp, (len(points_nm), *(self._cells,) * 3)
        points = self._device.to_device(points_nm)
        x, y, z = (
            xp.moveaxis(xp.round(points / self._cell_nm).astype(np.int64), -1, 0) % self._cells
        )
        number = xp.arange(len(points_nm))[:, None]
        flat = ((number * self._cells + z) * self._cells + y) * self._cells + x
        counts = xp.bincount(flat.ravel(), minlength=int(np.prod(shape)))
        return counts.reshape(shape).astype(np.float32)

    def _correlations_near(self, products: Array, shifts: NDArray[np.intp]) -> Float32:
        """Return the inverse transforms of half spectra at small shifts alone, along each axis.

        What an axis does not need is dropped before the next one is transformed.
        """
        transforms, near = self._device.fft, self._device.to_device(shifts % self._cells)
        planes = transforms.ifft(products, axis=1)[:, near]
        lines = transforms.ifft(planes, axis=2)[:, :, near]
        values = transforms.irfft(lines, self._cells, axis=3)[..., near]
        return np.asarray(self._device.to_host(values), np.float32)

    def _powers(self, spectra: Array) -> Float64:
        """Sum of squares [set] in real space, from the half spectra that `rfftn` returns."""
        squares = spectra.real**2 + spectra.imag**2
        doubled = 2 * squares.sum(axis=(1, 2, 3)) - squares[..., 0].sum(axis=(1, 2))
        return np.asarray(self._device.to_host(doubled) / self._cells**3, np.float64)


def _radius_nm(from_middle_nm: Float64) -> float:
    """Return the distance from the middle that `INSIDE_SHARE` of the particles do not exceed."""
    return float(np.quantile(np.linalg.norm(from_middle_nm, axis=1), INSIDE_SHARE))


def _within(radius_nm: float, from_middle_nm: Float64) -> Float64:
    inside: Float64 = from_middle_nm[np.linalg.norm(from_middle_nm, axis=1) <= radius_nm]
    return inside


def _seat_tilts() -> list[Float64]:
    """Rotations by `SEAT_TILT_DEG` about axes in the plane of the grid, every 45 degrees."""
    azimuth = np.deg2rad(np.arange(0, 360, 45))
    axes = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(len(azimuth))], axis=1)
    return list(Rotation.from_rotvec(np.deg2rad(SEAT_TILT_DEG) * axes).as_matrix())


def _best(found: list[Candidate], hypothesis: Hypothesis, keep: int) -> list[Candidate]:
    own = [candidate for candidate in found if candidate.hypothesis is hypothesis]
    return sorted(own, key=_correlation, reverse=True)[:keep]


def _correlation(candidate: Candidate) -> float:
    return candidate.correlation


def _blob_transfer(cells: int) -> Float32:
    """Transfer function of a blob minus a wider background (`BLOB_CELLS`)."""
    f = np.fft.fftfreq(cells)
    square = f[:, None, None] ** 2 + f[:, None] ** 2 + np.fft.rfftfreq(cells) ** 2
    narrow, wide = (np.exp(-2 * np.pi**2 * sigma**2 * square) for sigma in BLOB_CELLS)
    return np.asarray(narrow - wide, np.float32)
