"""Where B may lie on A: every in-plane angle, flipped and not, mirrored and not.

Particles are put as soft points on a grid of half a diameter; the correlation over all shifts is
one FFT pair an angle. Every hypothesis is searched, the impossible ones as controls.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.transform import Rotation

from processing.combine.pose import FLIP, Pose, about_z
from processing.parallel import worker_threads
from processing.series import Float32, Float64

ANGLE_STEP_DEG = 5.0
WORTH_TILTING = 12
"""In-plane angles of each hypothesis that are tried with the seat tilted."""
SEAT_TILT_DEG = 3.0
"""A grid is seated within some degrees; refinement finds the rest."""
LARGEST_SHIFT = 8
"""Cells by which the two sets' means may differ, where each misses other particles."""
BLOB_CELLS = (0.7, 3.0)
"""Standard deviations of a particle's blob and of the surroundings taken off it."""

Spectrum = NDArray[np.complex64]


class Hypothesis(Enum):
    """How B may relate to A."""

    FLIPPED = "flipped"
    SAME_SIDE = "same side up"
    MIRRORED_FLIPPED = "flipped and mirrored"
    MIRRORED = "same side up and mirrored"

    @property
    def mirror(self) -> Float64:
        """[3, 3], its own inverse: takes B's mirror out before the turn."""
        mirrored = self in (Hypothesis.MIRRORED, Hypothesis.MIRRORED_FLIPPED)
        return np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])

    @property
    def turn(self) -> Float64:
        """[3, 3], proper: what comes between the mirror and the turn about z."""
        flipped = self in (Hypothesis.FLIPPED, Hypothesis.MIRRORED_FLIPPED)
        return FLIP if flipped else np.eye(3)


@dataclass(frozen=True)
class Candidate:
    """A pose worth refining."""

    hypothesis: Hypothesis
    pose: Pose
    likeness: float
    """Correlation of the soft points, 0..1."""


def coarse_candidates(
    points_a: Float64, points_b: Float64, diameter_nm: float, keep: int = 4
) -> list[Candidate]:
    """The `keep` best turns of every hypothesis with their best shifts, best first.

    All in-plane angles first; a seat that is tilted by some degrees costs the right one most of
    its lead, so the better ones of each hypothesis are tried again with the seat tilted.
    """
    search = _Search(points_a, points_b, diameter_nm)
    angles = np.arange(-180.0, 180.0, ANGLE_STEP_DEG)
    turns = [
        (hypothesis, about_z(float(angle)) @ hypothesis.turn @ hypothesis.mirror)
        for hypothesis in Hypothesis
        for angle in angles
    ]
    upright = search.over(turns)
    worth = [each for one in Hypothesis for each in _best(upright, one, WORTH_TILTING)]
    tilts = _seat_tilts()
    tilted = search.over(
        [(one.hypothesis, tilt @ one.pose.matrix) for one in worth for tilt in tilts]
    )
    found = [
        max(one, *tilted[n * len(tilts) : (n + 1) * len(tilts)], key=_likeness)
        for n, one in enumerate(worth)
    ]
    kept = [candidate for hypothesis in Hypothesis for candidate in _best(found, hypothesis, keep)]
    return sorted(kept, key=_likeness, reverse=True)


class _Search:
    """Correlates B's soft points, turned, with A's over all shifts."""

    def __init__(self, points_a: Float64, points_b: Float64, diameter_nm: float) -> None:
        self._cell_nm = diameter_nm / 2
        self._middle_a, self._middle_b = points_a.mean(axis=0), points_b.mean(axis=0)
        from_a, self._from_b = points_a - self._middle_a, points_b - self._middle_b
        reach_nm = max(np.linalg.norm(p, axis=1).max() for p in (from_a, self._from_b))
        cells = int(np.ceil(2 * reach_nm / self._cell_nm)) + 2 * LARGEST_SHIFT
        self._cells = fft.next_fast_len(cells, real=True)
        self._soft = _soft_blob(self._cells)
        self._target = self._spectrum(from_a)
        self._power_a = _power(self._target, self._cells)

    def over(self, turns: list[tuple[Hypothesis, Float64]]) -> list[Candidate]:
        """The best shift of every turn [3, 3] of B."""
        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(lambda turn: self._at(*turn), turns))

    def _at(self, hypothesis: Hypothesis, matrix: Float64) -> Candidate:
        shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
        moved = self._spectrum(self._from_b @ matrix.T)
        overlap = fft.irfftn(moved.conj() * self._target, [self._cells] * 3)
        near = overlap[np.ix_(shifts, shifts, shifts)]
        best = np.unravel_index(int(near.argmax()), near.shape)
        step_nm = self._cell_nm * shifts[list(best[::-1])]
        shift_nm = step_nm + self._middle_a - matrix @ self._middle_b
        norm = np.sqrt(self._power_a * _power(moved, self._cells))
        return Candidate(hypothesis, Pose(matrix, shift_nm), float(near.max() / norm))

    def _spectrum(self, points_nm: Float64) -> Spectrum:
        counted = _counted(points_nm, self._cell_nm, self._cells)
        return np.asarray(fft.rfftn(counted) * self._soft, np.complex64)


def _seat_tilts() -> list[Float64]:
    """Rotations about axes in the grid's plane, every 45 degrees."""
    around = np.deg2rad(np.arange(0, 360, 45))
    axes = np.stack([np.cos(around), np.sin(around), np.zeros(len(around))], axis=1)
    return list(Rotation.from_rotvec(np.deg2rad(SEAT_TILT_DEG) * axes).as_matrix())


def _best(found: list[Candidate], hypothesis: Hypothesis, keep: int) -> list[Candidate]:
    own = [candidate for candidate in found if candidate.hypothesis is hypothesis]
    return sorted(own, key=_likeness, reverse=True)[:keep]


def _likeness(candidate: Candidate) -> float:
    return candidate.likeness


def _counted(points_nm: Float64, cell_nm: float, cells: int) -> Float32:
    """Points a cell, about the grid's centre; what lies outside wraps round."""
    index = np.rint(points_nm[:, ::-1] / cell_nm).astype(int) % cells
    flat = np.ravel_multi_index(tuple(index.T), (cells,) * 3)
    return np.bincount(flat, minlength=cells**3).reshape((cells,) * 3).astype(np.float32)


def _soft_blob(cells: int) -> Float32:
    """Transfer function of a blob somewhat smaller than a cell, less its own surroundings."""
    f = np.fft.fftfreq(cells)
    square = f[:, None, None] ** 2 + f[:, None] ** 2 + np.fft.rfftfreq(cells) ** 2
    narrow, wide = (np.exp(-2 * np.pi**2 * sigma**2 * square) for sigma in BLOB_CELLS)
    return np.asarray(narrow - wide, np.float32)


def _power(spectrum: Spectrum, cells: int) -> float:
    doubled = 2 * (np.abs(spectrum) ** 2).sum() - (np.abs(spectrum[..., 0]) ** 2).sum()
    return float(doubled) / cells**3
