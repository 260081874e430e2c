"""Blur of the beam that is fitted again for particles of unequal sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from processing.fit.size_beam import refit_beams
from processing.fit.sizes import measure_sizes
from processing.fit.spheres import SphereFit, fit_spheres
from tests.support.spheres import packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)
DIAMETER, SIZE, RADIUS = 7.0, 64, 20
TRUTH = packed(RADIUS, 8.6, order="disordered", seed=5)
CHANGES = 0.08 * np.where(np.arange(len(TRUTH)) % 2, 1, -1)
"""Relative change of every second particle's diameter, up or down."""
OWN_PX = 0.4
"""Blur of the simulated images by their pixels."""


def fitted(blur_px: float) -> SphereFit:
    """Fit equal spheres to particles of two diameters, blurred alike at all depths."""
    larger, smaller = (
        tilt_series(
            TRUTH[CHANGES * sign > 0], ANGLES, DIAMETER * (1 + sign * abs(CHANGES[0])), SIZE
        )
        for sign in (1, -1)
    )
    images = gaussian_filter(larger.images + smaller.images, (0, blur_px, blur_px))
    images = images + 0.3 * DIAMETER * np.random.default_rng(6).standard_normal(images.shape)
    start = TRUTH + np.random.default_rng(7).normal(0, 0.2, TRUTH.shape)
    series = replace(larger, images=images.astype(np.float32))
    return fit_spheres([(series, None)], start, np.ones(len(TRUTH)), DIAMETER)


@pytest.fixture(scope="module")
def fits() -> dict[float, SphereFit]:
    return {blur_px: fitted(blur_px) for blur_px in (0.0, 1.0)}


@pytest.mark.parametrize("blur_px", [0.0, 1.0])
def test_known_sizes_show_that_the_blur_does_not_grow_with_depth(
    fits: dict[float, SphereFit], blur_px: float
) -> None:
    fit = fits[blur_px]
    spheres = replace(fit.spheres, centres_nm=TRUTH)
    unknowns = np.zeros((len(TRUTH), 5))
    unknowns[:, 0] = spheres.amplitudes
    unknowns[:, 1] = spheres.amplitudes * np.log1p(CHANGES)
    with ThreadPoolExecutor(1) as pool:
        (beam,) = refit_beams(fit.beams, fit.views, spheres, unknowns, pool).values()
    assert beam.blur_px < 0.5 * fit.beams[0].blur_px
    assert beam.common_px == pytest.approx(np.hypot(OWN_PX, blur_px), abs=0.15)


@pytest.mark.parametrize("number", [1, 2])
def test_few_particles_have_a_finite_blur(number: int) -> None:
    places = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])[:number]
    series = tilt_series(places, ANGLES, DIAMETER, SIZE)
    fit = fit_spheres([(series, None)], places, np.ones(number), DIAMETER)
    unknowns = np.zeros((number, 5))
    unknowns[:, 0] = 1.0
    with ThreadPoolExecutor(1) as pool:
        (beam,) = refit_beams(fit.beams, fit.views, fit.spheres, unknowns, pool).values()
    assert 0 <= beam.common_px < 1
    assert 0 <= beam.blur_px <= DIAMETER
    assert np.isfinite(measure_sizes(fit).measured).all()
