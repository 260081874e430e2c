"""Sphere fit: true particles move to their positions, false candidates get no amplitude."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.combine.pose import FLIP, Pose, fit_pose
from processing.device import CPU, Device
from processing.fit import spline_matrices
from processing.fit.spheres import SphereFit, fit_spheres
from processing.pipeline.fitness import measure_fitness, misplaced_share
from processing.pipeline.judged_places import wrong_places
from processing.pipeline.verdict import judge
from processing.results import Cause, Trust
from processing.series import TiltSeries
from tests.support.spheres import jittered, packed, tilt_series
from tests.support.strict_device import strict_device

ANGLES = np.arange(-70.0, 75.0, 4.0)
DIAMETER, SIZE = 7.0, 80
FALSE_ONES, MOVED_PX = 120, 0.3


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
    """Slightly misaligned images, and candidates; the last ones are false, between particles."""
    truth = packed(24, 8.6, order=case.order, seed=4)
    angles = ANGLES[:: case.every]
    series: list[tuple[TiltSeries, Pose | None]] = [(taken(truth, angles, case.counts, 1), None)]
    if case.both:
        turn = Rotation.from_euler("zx", [37, 1.5], degrees=True).as_matrix() @ FLIP
        pose = Pose(turn.T, np.array([1.5, -0.8, 0.6]))
        centres_b = pose.inverse().apply(truth)
        series.append((taken(centres_b, angles, case.counts, 2), pose))
    rng = np.random.default_rng(3)
    false_ones = (
        truth[rng.integers(0, len(truth), FALSE_ONES)]
        + rng.normal(0, 1, (FALSE_ONES, 3))
        + [5.2, 0, 0]
    )
    moved = truth + rng.normal(0, MOVED_PX, truth.shape)
    weights = np.r_[rng.uniform(0.6, 1.2, len(truth)), rng.uniform(0.2, 0.6, FALSE_ONES)]
    return Problem(series, np.vstack([moved, false_ones]), weights, truth)


def taken(centres: np.ndarray, angles: np.ndarray, counts: float | None, seed: int) -> TiltSeries:
    recording = jittered(len(angles), jitter_px=0.2, angle_error_deg=0.15, counts=counts, seed=seed)
    return tilt_series(centres, angles, DIAMETER, SIZE, recording)


def fitted(task: Problem, rounds: int = 3, device: Device = CPU) -> SphereFit:
    return fit_spheres(
        task.series, task.candidates, task.weights, DIAMETER, rounds=rounds, device=device
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_particles_are_kept_and_false_candidates_get_no_amplitude(case: Case) -> None:
    task = problem(case)
    fit = fitted(task)
    particles, false_ones = fit.amplitudes[:-FALSE_ONES], fit.amplitudes[-FALSE_ONES:]
    assert particles.min() > 0.5
    assert np.quantile(false_ones, 0.95) < 0.3
    assert rms_error_nm(fit, task) < 0.5 * MOVED_PX


def test_more_rounds_improve_the_positions() -> None:
    """In an ordered assembly the overlapping layers must not push one another away."""
    task = problem(CASES[0])
    assert rms_error_nm(fitted(task, rounds=8), task) < rms_error_nm(fitted(task, rounds=2), task)


def test_a_fit_that_fills_a_gpu_keeps_no_matrices_and_finds_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = problem(Case("one series", both=False))
    ((series, _),) = task.series
    kept, kept_bytes = fitted_with_peak(task)
    matrices_bytes = series.tilts * len(task.candidates) * spline_matrices.KEPT_BYTES
    # as many candidates as no GPU holds
    monkeypatch.setattr(spline_matrices, "KEPT_BYTES", np.inf)
    made_anew, peak_bytes = fitted_with_peak(task)
    assert np.array_equal(made_anew.centres_nm, kept.centres_nm)
    assert np.array_equal(made_anew.amplitudes, kept.amplitudes)
    # the rest is taken by those of the views at work; keeping all again would save nothing
    assert kept_bytes - peak_bytes > 0.4 * matrices_bytes


def fitted_with_peak(task: Problem) -> tuple[SphereFit, int]:
    """Return a fit on a device like a GPU, and the peak memory of its arrays."""
    tracemalloc.start()
    fit = fitted(task, rounds=1, device=strict_device())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return fit, peak_bytes


@dataclass(frozen=True)
class Covered:
    name: str
    images: list[int]
    left_out: list[int]
    error: float
    """Largest rms error of the positions, in displacements of the candidates."""
    trust: Trust


COVERED = [
    Covered("both ends", [0, 35], [0, 35], 0.5, Trust.TRUSTED),
    Covered("too many images", [0, 9, 18, 27, 35], [], 0.7, Trust.DOUBTFUL),
]


@pytest.mark.parametrize("case", COVERED, ids=lambda case: case.name)
def test_images_that_another_object_covers_are_left_out_and_cost_no_trust(case: Covered) -> None:
    task = problem(Case("one series", order="disordered", both=False))
    ((series, _),) = task.series
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    neighbour = np.sqrt(np.maximum(0, 1 - ((x - 36) ** 2 + y**2) / 26**2))
    images = series.images.copy()
    images[case.images] += neighbour.astype(np.float32) * 3 * np.percentile(images, 99)
    covered = replace(series, images=images)
    fit = fitted(replace(task, series=[(covered, None)]), rounds=2)
    assert [list(np.flatnonzero(some)) for some in fit.left_out] == [case.left_out]
    assert rms_error_nm(fit, task) < case.error * MOVED_PX
    wrong = wrong_places(fit, [covered], DIAMETER)
    fitness = measure_fitness(fit, [covered], DIAMETER)
    verdict = judge(replace(fitness, misplaced=misplaced_share(fit, wrong)))
    assert verdict.state is case.trust
    assert (Cause.ALIGNMENT in verdict.causes) == (case.trust is Trust.DOUBTFUL)


def test_values_of_pixels_that_another_object_covers_count_for_nothing() -> None:
    """They show wrong particles, in half of the object and in half of the images."""
    task = problem(Case("one series", order="disordered", both=False))
    ((series, _),) = task.series
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    known = np.ones(series.images.shape, np.float32)
    known[::2] = np.hypot(x - 36, y) > 33
    wrong = task.truth + np.random.default_rng(9).normal(0, 1.5, task.truth.shape)
    images = np.where(known > 0, series.images, taken(wrong, ANGLES, None, 1).images)
    covered = replace(series, images=images, known=known)
    fit = fitted(replace(task, series=[(covered, None)]))
    assert fit.amplitudes[:-FALSE_ONES].min() > 0.5
    assert rms_error_nm(fit, task) < 0.6 * MOVED_PX
    assert fit.evidence.view_unexplained.max() < 0.1
    believed = fitted(replace(task, series=[(replace(covered, known=None), None)]))
    assert rms_error_nm(believed, task) > MOVED_PX


def test_no_candidates_give_an_empty_fit() -> None:
    task = problem(CASES[0])
    fit = fit_spheres(task.series, np.zeros((0, 3)), np.zeros(0), DIAMETER)
    assert len(fit.amplitudes) == 0


def rms_error_nm(fit: SphereFit, task: Problem) -> float:
    """Rms error per axis, without the common motion, which no image can show."""
    found = fit.centres_nm[:-FALSE_ONES]
    error = fit_pose(task.truth, found).apply(found) - task.truth
    return float(np.sqrt(np.mean(error**2)))
