"""Spheres fitted to images: true ones settle where they are, made-up ones fade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.combine.pose import FLIP, Pose, fit_pose
from processing.fit.spheres import SphereFit, fit_spheres
from processing.series import TiltSeries
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 4.0)
DIAMETER, SIZE = 7.0, 80
DUST, MOVED = 120, 0.3


@dataclass(frozen=True)
class Case:
    name: str
    order: str = "fcc"
    both: bool = True
    counts: float | None = 1000
    every: int = 1


CASES = [
    Case("both series, fcc"),
    Case("both series, disordered", order="disordered"),
    Case("one series", both=False),
    Case("few counts", counts=200),
    Case("a third of the tilts", every=3),
]


@dataclass(frozen=True)
class Problem:
    series: list[tuple[TiltSeries, Pose | None]]
    candidates: np.ndarray
    weights: np.ndarray
    truth: np.ndarray


def problem(case: Case) -> Problem:
    """Images not quite aligned, and candidates of which the last are dust between particles."""
    truth = packed(24, 8.6, order=case.order, seed=4)
    angles = ANGLES[:: case.every]
    series: list[tuple[TiltSeries, Pose | None]] = [(taken(truth, angles, case.counts, 1), None)]
    if case.both:
        turn = Rotation.from_euler("zx", [37, 1.5], degrees=True).as_matrix() @ FLIP
        pose = Pose(turn.T, np.array([1.5, -0.8, 0.6]))
        seen = pose.inverse().apply(truth)
        series.append((taken(seen, angles, case.counts, 2), pose))
    rng = np.random.default_rng(3)
    dust = truth[rng.integers(0, len(truth), DUST)] + rng.normal(0, 1, (DUST, 3)) + [5.2, 0, 0]
    moved = truth + rng.normal(0, MOVED, truth.shape)
    weights = np.r_[rng.uniform(0.6, 1.2, len(truth)), rng.uniform(0.2, 0.6, DUST)]
    return Problem(series, np.vstack([moved, dust]), weights, truth)


def taken(centres: np.ndarray, angles: np.ndarray, counts: float | None, seed: int) -> TiltSeries:
    recording = jittered(len(angles), jitter_px=0.2, angle_error_deg=0.15, counts=counts, seed=seed)
    return tilt_series(centres, angles, DIAMETER, SIZE, recording)


def fitted(given: Problem, rounds: int = 3) -> SphereFit:
    return fit_spheres(given.series, given.candidates, given.weights, DIAMETER, rounds=rounds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_particles_settle_and_dust_fades(case: Case) -> None:
    given = problem(case)
    fit = fitted(given)
    particles, dust = fit.amplitudes[:-DUST], fit.amplitudes[-DUST:]
    assert particles.min() > 0.5
    assert np.quantile(dust, 0.95) < 0.3
    assert off_nm(fit, given) < 0.5 * MOVED


def test_more_rounds_bring_particles_nearer() -> None:
    """An ordered assembly's overlapping layers must not drive one another away."""
    given = problem(CASES[0])
    assert off_nm(fitted(given, rounds=8), given) < off_nm(fitted(given, rounds=2), given)


def test_without_candidates_there_is_nothing_to_fit() -> None:
    given = problem(CASES[0])
    fit = fit_spheres(given.series, np.zeros((0, 3)), np.zeros(0), DIAMETER)
    assert len(fit.amplitudes) == 0


def off_nm(fit: SphereFit, given: Problem) -> float:
    """Rms error an axis; a small motion of everything together can not be seen."""
    found = fit.centres_nm[:-DUST]
    error = fit_pose(given.truth, found).apply(found) - given.truth
    return float(np.sqrt(np.mean(error**2)))
