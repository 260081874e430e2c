"""Spheres that the fit lacks are found in the residual of the images, and no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.fit.missing import missing_spheres
from processing.fit.spheres import SphereFit, fit_spheres
from processing.series import Float64, TiltSeries
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)
DIAMETER, SIZE = 7.0, 80


@dataclass(frozen=True)
class Case:
    name: str
    lost: int
    """Number of particles that are no candidates of the fit."""
    order: str = "fcc"
    counts: float | None = 1000


CASES = (
    Case("none", 0),
    Case("none, few counts", 0, counts=200),
    Case("one", 1),
    Case("a tenth", 8),
    Case("a tenth, disordered", 8, order="disordered"),
    Case("a tenth, few counts", 8, counts=200),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lost_particles_are_found_in_the_residual(case: Case) -> None:
    truth = packed(22, 8.6, order=case.order, seed=4)
    recording = jittered(
        len(ANGLES), jitter_px=0.1, angle_error_deg=0.05, counts=case.counts, seed=1
    )
    series = tilt_series(truth, ANGLES, DIAMETER, SIZE, recording)
    lost = np.random.default_rng(6).permutation(len(truth)) < case.lost
    kept = truth[~lost]
    fit = fitted(series, kept, np.ones(len(kept)))
    places, amplitudes = missing_spheres(fit, DIAMETER, kind=0)
    if not case.lost:
        assert not len(places)
        return
    # lost particles leave weaker traces beside them, too, which a fit with all of them removes
    again = fitted(
        series, np.vstack([kept, places]), np.concatenate([np.ones(len(kept)), amplitudes])
    )
    found = again.centres_nm[again.amplitudes > 0.5]
    assert len(found) == len(truth)
    assert cKDTree(found).query(truth)[0].max() < 0.25 * DIAMETER


def fitted(series: TiltSeries, centres: Float64, weights: Float64) -> SphereFit:
    return fit_spheres([(series, None)], centres, weights, DIAMETER, rounds=3)
