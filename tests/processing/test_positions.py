"""Positions that own diameters give, and their standard errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.combine.pose import fit_pose
from processing.files.particles import ParticleTable
from processing.fit import position_system
from processing.fit.line_jitter import drawn_jitter, row_pulls, row_slopes, squared_jitter
from processing.fit.positions import measure_positions
from processing.fit.sizes import measure_sizes
from processing.fit.spheres import SphereFit, fit_spheres
from processing.fit.view_model import model_views, posed
from processing.pipeline.own_positions import calibrated_by_pairs
from processing.series import TiltSeries
from tests.support.spheres import packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)
DIAMETER, SIZE, RADIUS = 7.0, 64, 20
CHANGE = 0.06
"""Relative change of every second particle's diameter, up or down."""
TRUTH = packed(RADIUS, 8.6, order="disordered", seed=5)
EXACT = np.full(len(TRUTH), 1e-3)
LEAST_MOVE = 0.1
"""Move by further steps that does not matter, in standard errors."""
CHANGES = CHANGE * np.where(np.arange(len(TRUTH)) % 2, 1, -1)


def images(noise: float) -> TiltSeries:
    """Return particles of two diameters, with noise as a share of one particle's signal."""
    larger, smaller = (
        tilt_series(TRUTH[CHANGES * sign > 0], ANGLES, DIAMETER * (1 + sign * CHANGE), SIZE)
        for sign in (1, -1)
    )
    clean = larger.images + smaller.images
    rng = np.random.default_rng(6)
    noisy = clean + noise * DIAMETER * rng.standard_normal(clean.shape)
    return replace(larger, images=noisy.astype(np.float32))


def rms_nm(found: np.ndarray) -> float:
    moved = fit_pose(TRUTH, found).apply(found)
    return float(np.sqrt(np.mean((moved - TRUTH) ** 2)))


@pytest.fixture(scope="module")
def fit() -> SphereFit:
    start = TRUTH + np.random.default_rng(7).normal(0, 0.2, TRUTH.shape)
    return fit_spheres([(images(0.3), None)], start, np.ones(len(TRUTH)), DIAMETER)


def test_own_diameters_improve_the_positions(fit: SphereFit) -> None:
    found = measure_positions(fit, np.log1p(CHANGES), EXACT)
    equal = measure_positions(fit, np.zeros(len(TRUTH)), EXACT)
    without_errors = measure_positions(fit, np.log1p(CHANGES), None)
    assert np.array_equal(without_errors.centres_nm, found.centres_nm)
    assert np.isnan(without_errors.errors_nm).all()
    assert rms_nm(found.centres_nm) < min(rms_nm(fit.centres_nm), rms_nm(equal.centres_nm))


def test_the_measurements_report_each_solution(fit: SphereFit) -> None:
    shown: list[tuple[str, float]] = []
    measure_sizes(fit, progress=lambda *each: shown.append(each))
    measure_positions(fit, np.log1p(CHANGES), EXACT, progress=lambda *each: shown.append(each))
    for stage in ("diameters of the particles", "positions of the particles"):
        fractions = [fraction for name, fraction in shown if name == stage]
        assert len(fractions) > 1 and fractions == sorted(fractions)


def test_the_standard_errors_are_right(fit: SphereFit) -> None:
    found = measure_positions(fit, np.log1p(CHANGES), EXACT)
    told = float(np.sqrt(np.mean(found.errors_nm**2)))
    assert rms_nm(found.centres_nm) / told == pytest.approx(1.0, abs=0.25)
    uncertain = measure_positions(fit, np.log1p(CHANGES), np.full(len(TRUTH), 0.1))
    assert np.mean(uncertain.errors_nm**2) > 1.05 * np.mean(found.errors_nm**2)


def test_small_errors_of_the_poses_do_not_move_the_particles(fit: SphereFit) -> None:
    """Tilt angles that are all too small would stretch the specimen along the beam."""
    errors = np.random.default_rng(10).normal(0, (0.1, 0.1, 0.003, 0.003), (len(ANGLES), 4))
    errors[:, 3] -= 0.01 * np.deg2rad(ANGLES)
    by_group = np.split(errors, np.cumsum([len(some) for some in fit.views])[:-1])
    wrong = tuple(posed(some, its) for some, its in zip(fit.views, by_group, strict=True))
    found, moved = (
        measure_positions(each, np.log1p(CHANGES), EXACT)
        for each in (fit, replace(fit, views=wrong))
    )
    placed_nm = fit_pose(found.centres_nm, moved.centres_nm).apply(moved.centres_nm)
    moves = (placed_nm - found.centres_nm) / found.errors_nm
    assert np.sqrt(np.mean(moves**2)) < 0.3


@pytest.mark.parametrize("jitter_px", [0.4, 0.0])
def test_displaced_lines_are_told_from_noise(fit: SphereFit, jitter_px: float) -> None:
    views = fit.views
    modelled = [
        model_views(some, fit.beams[0], fit.spheres).project(fit.spheres.weights) for some in views
    ]
    slopes = [row_slopes(*each) for each in zip(views, modelled, strict=True)]
    rng = np.random.default_rng(11)

    def noise() -> list[np.ndarray]:
        return [
            some.imager.spectra(rng.standard_normal(slope.shape, np.float32))
            for some, slope in zip(views, slopes, strict=True)
        ]

    def jitter() -> list[np.ndarray]:
        return [
            drawn_jitter(some, slope, rng.standard_normal(slope.shape[:2], np.float32))
            for some, slope in zip(views, slopes, strict=True)
        ]

    recorded = [one + jitter_px * other for one, other in zip(noise(), jitter(), strict=True)]
    with ThreadPoolExecutor(1) as pool:
        pulls = [row_pulls(views, slopes, each, pool) for each in (recorded, noise(), jitter())]
    assert np.sqrt(squared_jitter(*pulls)) == pytest.approx(jitter_px, abs=0.1)


def test_more_steps_do_not_change_positions_and_errors(
    fit: SphereFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solutions that stop early lack a part of the errors along the beam above all."""
    found = measure_positions(fit, np.log1p(CHANGES), EXACT)
    monkeypatch.setattr(position_system, "TOLERANCE", 1e-3)
    converged = measure_positions(fit, np.log1p(CHANGES), EXACT)
    placed_nm = fit_pose(converged.centres_nm, found.centres_nm).apply(found.centres_nm)
    moved = np.abs(placed_nm - converged.centres_nm) / converged.errors_nm
    assert np.sqrt(np.mean(moved**2)) < LEAST_MOVE
    ratio = (found.errors_nm**2).mean(axis=0) / (converged.errors_nm**2).mean(axis=0)
    np.testing.assert_allclose(np.sqrt(ratio), 1, atol=0.03)


def test_missed_particles_raise_the_errors_of_their_neighbours() -> None:
    """The residual of a particle that is not in the model pulls at others in all tilts."""
    missed = np.arange(len(TRUTH)) % 25 == 0
    kept = TRUTH[~missed]
    start = kept + np.random.default_rng(7).normal(0, 0.2, kept.shape)
    fit = fit_spheres([(images(0.3), None)], start, np.ones(len(kept)), DIAMETER)
    found = measure_positions(fit, np.log1p(CHANGES[~missed]), EXACT[~missed])
    real_nm = fit_pose(kept, found.centres_nm).apply(found.centres_nm) - kept
    told, real = (np.sqrt(np.mean(each**2, axis=1)) for each in (found.errors_nm, real_nm))
    assert np.sqrt(np.mean(real**2) / np.mean(told**2)) == pytest.approx(1.0, abs=0.25)
    near = cKDTree(TRUTH[missed]).query(kept)[0] < 1.6 * DIAMETER
    assert told[near].mean() > 1.2 * told[~near].mean()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_few_particles_have_finite_errors(number: int) -> None:
    """Without the moves of all together, few are left."""
    few = TRUTH[:number]
    series = tilt_series(few, ANGLES, DIAMETER, SIZE)
    noise = np.random.default_rng(6).standard_normal(series.images.shape)
    noisy = replace(series, images=(series.images + 2.0 * noise).astype(np.float32))
    fit = fit_spheres([(noisy, None)], few, np.ones(number), DIAMETER)
    found = measure_positions(fit, np.zeros(number), np.full(number, 1e-3))
    assert np.isfinite(found.centres_nm).all() and np.isfinite(found.errors_nm).all()


def table(centres: np.ndarray, error_nm: float) -> ParticleTable:
    number = len(centres)
    errors = np.full((number, 3), error_nm)
    return ParticleTable(centres, np.full(number, 7.0), np.ones(number), centre_se_nm=errors)


def test_pairs_calibrate_no_errors_that_were_not_measured() -> None:
    places = 20.0 * np.stack(np.unravel_index(np.arange(100), (8, 8, 8)), axis=1)
    a, b, both = table(places, 0.1), table(places, 0.1), table(places, np.nan)
    assert calibrated_by_pairs(both, a, b, 6.0) is both


@pytest.mark.parametrize(
    ("number", "told_nm"),
    [(400, (0.1 / 2**0.5, 0.2 / 2**0.5, 0.3 / 2**0.5)), (30, (0.05, 0.05, 0.05))],
    ids=["many: as exact as the mean of A and B", "few: as told"],
)
def test_pairs_of_a_and_b_calibrate_each_axis(
    number: int, told_nm: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(8)
    places = 20.0 * np.stack(np.unravel_index(np.arange(number), (8, 8, 8)), axis=1)
    a, b = (places + 0.1 * rng.standard_normal((number, 3)) * [1, 2, 3] for _ in range(2))
    b[0] += 2.0  # no pair of one particle
    found = calibrated_by_pairs(table(places, 0.05), table(a, 0.1), table(b, 0.1), 6.0)
    np.testing.assert_allclose(
        found.centre_se_nm, np.tile(np.array(told_nm), (number, 1)), rtol=0.1
    )
