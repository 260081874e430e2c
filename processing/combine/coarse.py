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

from processing.combine.pose import FLIP, Pose, about_z
from processing.reconstruct.projector import worker_threads
from processing.series import Float32, Float64

ANGLE_STEP_DEG = 5.0
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
    """The `keep` best angles of every hypothesis with their best shifts, best first."""
    cell_nm = diameter_nm / 2
    middle_a, middle_b = points_a.mean(axis=0), points_b.mean(axis=0)
    from_a, from_b = points_a - middle_a, points_b - middle_b
    reach_nm = max(np.linalg.norm(p, axis=1).max() for p in (from_a, from_b))
    cells = fft.next_fast_len(int(np.ceil(2 * reach_nm / cell_nm)) + 2 * LARGEST_SHIFT, real=True)
    shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    soft = _soft_blob(cells)

    def spectrum(points_nm: Float64) -> Spectrum:
        return np.asarray(fft.rfftn(_counted(points_nm, cell_nm, cells)) * soft, np.complex64)

    target = spectrum(from_a)

    def search(case: tuple[Hypothesis, float]) -> Candidate:
        hypothesis, angle_deg = case
        matrix = about_z(angle_deg) @ hypothesis.turn @ hypothesis.mirror
        moved = spectrum(from_b @ matrix.T)
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
