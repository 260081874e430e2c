"""Where B may lie on A: every in-plane angle, flipped and not, mirrored and not.

Particles are put as soft points on a grid of half a diameter; the correlation over all shifts is
one FFT pair an angle. Every hypothesis is searched, the impossible ones as controls.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import fft, ndimage

from processing.combine.pose import FLIP, Pose, about_z
from processing.reconstruct.projector import worker_threads
from processing.series import Float32, Float64

ANGLE_STEP_DEG = 5.0
LARGEST_SHIFT = 8
"""Cells by which the two sets' means may differ, where each misses other particles."""


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
    points_a: Float64, points_b: Float64, diameter_nm: float, keep: int = 6
) -> list[Candidate]:
    """The `keep` best angles of every hypothesis with their best shifts, best first."""
    cell_nm = diameter_nm / 2
    middle_a, middle_b = points_a.mean(axis=0), points_b.mean(axis=0)
    from_a, from_b = points_a - middle_a, points_b - middle_b
    reach_nm = max(np.linalg.norm(p, axis=1).max() for p in (from_a, from_b))
    cells = fft.next_fast_len(int(np.ceil(2 * reach_nm / cell_nm)) + 2 * LARGEST_SHIFT, real=True)
    shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    target = fft.rfftn(_soft_points(from_a, cell_nm, cells))

    def search(case: tuple[Hypothesis, float]) -> Candidate:
        hypothesis, angle_deg = case
        matrix = about_z(angle_deg) @ hypothesis.turn @ hypothesis.mirror
        moved = fft.rfftn(_soft_points(from_b @ matrix.T, cell_nm, cells))
        overlap = fft.irfftn(moved.conj() * target, [cells] * 3)
        near = overlap[np.ix_(shifts, shifts, shifts)]
        best = np.unravel_index(int(near.argmax()), near.shape)
        shift = cell_nm * shifts[list(best[::-1])] + middle_a - matrix @ middle_b
        norm = np.sqrt(power_a * float(_power(moved, cells)))
        return Candidate(hypothesis, Pose(matrix, shift), float(near.max()) / norm)

    power_a = float(_power(target, cells))
    angles = np.arange(-180.0, 180.0, ANGLE_STEP_DEG)
    cases = [(hypothesis, float(angle)) for hypothesis in Hypothesis for angle in angles]
    with ThreadPoolExecutor(worker_threads()) as pool:
        found = list(pool.map(search, cases))
    kept = [candidate for hypothesis in Hypothesis for candidate in _best(found, hypothesis, keep)]
    return sorted(kept, key=lambda candidate: -candidate.likeness)


def _best(found: list[Candidate], hypothesis: Hypothesis, keep: int) -> list[Candidate]:
    own = [candidate for candidate in found if candidate.hypothesis is hypothesis]
    return sorted(own, key=lambda candidate: -candidate.likeness)[:keep]


def _soft_points(points_nm: Float64, cell_nm: float, cells: int) -> Float32:
    """Points about the grid's centre as blobs a cell wide, less their own surroundings."""
    index = np.rint(points_nm[:, ::-1] / cell_nm).astype(int) + cells // 2
    inside = ((index >= 0) & (index < cells)).all(axis=1)
    grid = np.zeros([cells] * 3, np.float32)
    np.add.at(grid, tuple(index[inside].T), 1)
    soft: Float32 = ndimage.gaussian_filter(grid, 0.7) - ndimage.gaussian_filter(grid, 3.0)
    return soft


def _power(spectrum: np.ndarray[tuple[int, ...], np.dtype[np.complex64]], cells: int) -> float:
    doubled = 2 * (np.abs(spectrum) ** 2).sum() - (np.abs(spectrum[..., 0]) ** 2).sum()
    return float(doubled) / cells**3
