"""Particles that the volume does not show are found by the images, in the place they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.count.particles import Clusters
from processing.pipeline.candidates import Candidates
from processing.pipeline.particle_fit import fit_particles
from processing.series import Float64
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)
DIAMETER, SIZE, PIXEL_NM = 7.0, 80, 1.0


@dataclass(frozen=True)
class Case:
    name: str
    lost: int
    """Number of particles that are no candidates."""
    searched: bool
    found: bool
    order: str = "fcc"


CASES = (
    Case("nothing lost", 0, searched=True, found=True),
    Case("a tenth lost", 8, searched=True, found=True),
    Case("a tenth lost, disordered", 8, searched=True, found=True, order="disordered"),
    Case("a tenth lost, not searched", 8, searched=False, found=False),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_particles_that_are_no_candidates_are_found(case: Case) -> None:
    truth = packed(22, 8.6, order=case.order, seed=4)
    recording = jittered(len(ANGLES), jitter_px=0.1, angle_error_deg=0.05, counts=1000, seed=1)
    series = tilt_series(truth, ANGLES, DIAMETER, SIZE, recording)
    kept = truth[np.random.default_rng(6).permutation(len(truth)) >= case.lost]
    found = fit_particles(
        candidates_at(kept),
        [(series, None)],
        DIAMETER,
        second_size=False,
        propose=case.searched,
    )
    numbers, weights = found.apart()
    places = found.fit.centres_nm[numbers][weights > 0.5]
    assert (len(places) == len(truth)) == case.found
    assert (cKDTree(places).query(truth)[0].max() < 0.1 * DIAMETER) == case.found


def test_no_candidates_give_no_particles() -> None:
    recording = jittered(len(ANGLES), jitter_px=0.1, angle_error_deg=0.05, counts=1000, seed=1)
    series = tilt_series(packed(22, 8.6, order="fcc", seed=4), ANGLES, DIAMETER, SIZE, recording)
    found = fit_particles(candidates_at(np.zeros((0, 3))), [(series, None)], DIAMETER)
    assert not len(found.apart()[0])


def candidates_at(centres: Float64) -> Candidates:
    """Return candidates as a volume gives them; it is not searched again."""
    clusters = Clusters(centres, np.ones(len(centres)))
    return Candidates(np.zeros((1, 1, 1), np.float32), clusters, PIXEL_NM, lambda _: clusters)
