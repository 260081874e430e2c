"""Projector, SIRT, filtered back-projection and SSR against independent formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from processing.reconstruct.fbp import angular_weights, fbp_series
from processing.reconstruct.projector import Projector, tile_side
from processing.reconstruct.sirt import sirt, sirt_series
from processing.reconstruct.ssr import ssr_series, ssr_volume
from processing.series import TiltSeries
from tests.support.astra_sirt import astra_sirt
from tests.support.spheres import packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 4.0)


@pytest.fixture(scope="module")
def centres() -> np.ndarray:
    return packed(18, 8.6, order="disordered", seed=3)


@pytest.fixture(scope="module")
def series(centres: np.ndarray) -> TiltSeries:
    return tilt_series(centres, ANGLES, 7.0, 56)


def peaks(values: np.ndarray, diameter: float) -> np.ndarray:
    """Local maxima above a third of the highest, as (x, y, z) from the centre."""
    smooth = ndimage.gaussian_filter(values, 1.0)
    top = ndimage.maximum_filter(smooth, size=int(diameter * 0.8))
    found = np.argwhere((smooth == top) & (smooth > smooth.max() / 3))
    return (found - (np.array(values.shape) - 1) / 2)[:, ::-1]


def recall(found: np.ndarray, centres: np.ndarray) -> float:
    distance = np.linalg.norm(found[None] - centres[:, None], axis=2).min(axis=1)
    return float((distance < 1.7).mean())


@pytest.mark.parametrize(
    ("columns", "depth"), [(48, 48), (48, 31), (40, 60)], ids=["square", "thin", "deep"]
)
def test_a_point_is_projected_to_the_expected_column(columns: int, depth: int) -> None:
    x, z = 7.0, -5.0
    volume = np.zeros((depth, 3, columns), np.float32)
    grid_z, grid_x = np.indices((depth, columns))
    grid_z = grid_z - (depth - 1) / 2
    grid_x = grid_x - (columns - 1) / 2
    volume[:, 1] = np.exp(-((grid_x - x) ** 2 + (grid_z - z) ** 2) / 4)
    images = Projector(np.deg2rad(ANGLES), columns, depth).forward(volume)
    u = np.arange(columns) - (columns - 1) / 2
    found = images[:, 1] @ u / images[:, 1].sum(axis=1)
    expected = x * np.cos(np.deg2rad(ANGLES)) + z * np.sin(np.deg2rad(ANGLES))
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert not images[:, [0, 2]].any()


def test_backward_is_the_adjoint_of_forward() -> None:
    rng = np.random.default_rng(0)
    projector = Projector(np.deg2rad(ANGLES), 33, 20)
    volume = rng.random((20, 37, 33), np.float32)
    images = rng.random((len(ANGLES), 37, 33), np.float32)
    forward = np.vdot(projector.forward(volume), images)
    assert forward == pytest.approx(np.vdot(volume, projector.backward(images)), rel=1e-4)


def test_sirt_equals_the_sirt_of_astra(series: TiltSeries) -> None:
    projector = Projector(series.angles_rad, 56)
    ours = sirt(projector, series.images, 20)
    theirs = astra_sirt(projector, series.images, 20)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("slices", "cache_MB", "side"),
    [
        pytest.param(80, 2, 32, id="two threads"),
        pytest.param(13, 2, 111, id="many threads with narrow blocks"),
        pytest.param(80, 1, 18, id="a smaller cache"),
        pytest.param(80, 0.25, 16, id="never too small"),
    ],
)
def test_tiles_fit_the_cache(
    slices: int, cache_MB: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.reconstruct.projector.cache_bytes", lambda: cache_MB * 2**20)
    assert tile_side(73, slices) == side


def test_momentum_reaches_a_lower_misfit_in_the_same_number_of_iterations(
    series: TiltSeries,
) -> None:
    projector = Projector(series.angles_rad, 56)
    misfit = [
        np.linalg.norm(
            projector.forward(sirt(projector, series.images, 20, momentum=momentum)) - series.images
        )
        for momentum in (False, True)
    ]
    assert misfit[1] < 0.6 * misfit[0]


def test_sirt_continues_from_a_given_volume(series: TiltSeries) -> None:
    projector = Projector(series.angles_rad, 56)
    halfway = sirt(projector, series.images, 5)
    np.testing.assert_allclose(
        sirt(projector, series.images, 5, start=halfway),
        sirt(projector, series.images, 10),
        atol=1e-4,
    )


@pytest.mark.parametrize("damage", ["excluded", "not a number", "blank"])
def test_a_bad_image_does_not_harm_the_volume(series: TiltSeries, damage: str) -> None:
    images, excluded = series.images.copy(), series.excluded.copy()
    if damage == "excluded":
        images[11], excluded[11] = 1e6, True
    elif damage == "not a number":
        images[11, 20:24, 30:40] = np.nan
    else:
        images[11] = np.nan
    clean = sirt_series(series, 15)
    harmed = sirt_series(replace(series, images=images, excluded=excluded), 15)
    assert np.corrcoef(clean.ravel(), harmed.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("angles_deg", "arcs_deg"),
    [
        ([-2, 0, 2], [2, 2, 2]),
        ([0, 2, 2, 4], [2, 1, 1, 2]),
        ([4, 0, 1], [3, 1, 2]),
        ([7], [180]),
        ([3, 3], [90, 90]),
    ],
    ids=["even", "repeated", "unordered and uneven", "one", "one twice"],
)
def test_arcs_of_the_tilts(angles_deg: list[float], arcs_deg: list[float]) -> None:
    arcs = np.rad2deg(angular_weights(np.deg2rad(np.array(angles_deg, float))))
    np.testing.assert_allclose(arcs, arcs_deg, atol=1e-3)


def test_back_projection_agrees_with_sirt(series: TiltSeries) -> None:
    quick, slow = fbp_series(series), sirt_series(series, 30)
    assert np.corrcoef(quick.ravel(), slow.ravel())[0, 1] > 0.8
    assert np.vdot(quick, slow) / np.vdot(slow, slow) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("source", ["images", "volume"])
def test_ssr_finds_the_spheres(series: TiltSeries, centres: np.ndarray, source: str) -> None:
    if source == "images":
        values = ssr_series(series, 7.0, iterations=100)
    else:
        values = ssr_volume(sirt_series(series, 30), 7.0)
    found = peaks(values, 7.0)
    assert recall(found, centres) > 0.97
    assert recall(centres, found) > 0.97


def test_the_weights_of_a_sphere_add_up_to_one() -> None:
    alone = tilt_series(np.array([[3.0, -2.0, 1.0]]), ANGLES, 7.0, 32)
    for centres in (
        ssr_series(alone, 7.0, iterations=60, sparsity=0.0),
        ssr_volume(sirt_series(alone, 60), 7.0, iterations=60, sparsity=0.0),
    ):
        assert centres.sum() == pytest.approx(1.0, abs=0.15)
