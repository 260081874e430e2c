"""Particles beside the sites of their lattice are brought back, if the images agree."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing import ProcessSettings, process_series
from processing.combine.pose import FLIP, Pose
from processing.fit.spheres import SphereFit, fit_spheres
from processing.pipeline.proposals import Proposal, as_fitted, with_proposals
from processing.progress import silent
from processing.series import Float64, TiltSeries
from simulator.settings import Packing
from tests.calibration.cases import RANGE_DEG, Specimen
from tests.calibration.measure import real_particles
from tests.support.odd_crystals import simulated_as_faulted
from tests.support.recorded import as_read
from tests.support.spheres import jittered, packed, tilt_series

SIZE_NM, PIXEL_NM, STEP_DEG, SEED = 90.0, 1.2, 10.0, 77
RADIUS_NM, DIAMETER_NM = 50.0, 7.0
SETTINGS = ProcessSettings(second_size=False, analysis=False)


def test_places_beside_the_sites_of_a_crystal_are_brought_back() -> None:
    wrong, before = wrong_places("perfect")
    assert before >= 10
    assert wrong <= before // 4


@pytest.mark.parametrize(
    "name",
    ["exit third disordered", "exit third 0.4 bonds aside", "exit third turned by 6 degrees"],
)
def test_an_exit_side_that_is_not_that_of_the_crystal_stays_as_it_is(name: str) -> None:
    wrong, before = wrong_places(name)
    assert wrong <= before


def wrong_places(name: str) -> tuple[int, int]:
    """Return how many particles of one series are beside the true ones, or are missed.

    The second number is that without the sites. The fit that the proposals start from is the same,
    and is made once.
    """
    angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + STEP_DEG / 2, STEP_DEG)
    with simulated_as_faulted(name):
        data = Specimen(Packing.FAULTED, SIZE_NM, PIXEL_NM, SEED).record(angles_deg, angles_deg)
    truth_nm, diameter_nm = data.truth.centres_nm, float(data.truth.diameters_nm.mean())
    found: list[SphereFit] = []

    def both(fit: SphereFit, diameter_nm: float, **more: Any) -> SphereFit:
        found.append(with_proposals(fit, diameter_nm, **more))
        with patch("processing.pipeline.proposals.on_sites", nothing):
            found.append(with_proposals(fit, diameter_nm, **more))
        return found[0]

    with patch("processing.pipeline.particle_fit.with_proposals", both):
        process_series(as_read(data.a, PIXEL_NM, "A"), SETTINGS)

    def wrong(fit: SphereFit) -> int:
        particles_nm = fit.centres_nm[fit.spheres.are_particles]
        real = real_particles(truth_nm, particles_nm, diameter_nm)
        return max(len(real), len(truth_nm)) - int(real.sum())

    with_sites, without = found
    return wrong(with_sites), wrong(without)


def test_the_middle_of_both_series_is_brought_back_to_its_sites() -> None:
    truth = packed(RADIUS_NM, 1.05 * DIAMETER_NM, order="fcc", seed=4)
    turn = Rotation.from_euler("zx", [37, 1.5], degrees=True).as_matrix() @ FLIP
    pose = Pose(turn.T, np.array([1.5, -0.8, 0.6]))
    series = [(imaged(truth, 1), None), (imaged(pose.inverse().apply(truth), 2), pose)]
    start = truth.copy()
    middle = np.abs(truth[:, 2]) < RADIUS_NM / 4
    start[middle, 0] += DIAMETER_NM / 2
    fit = fit_spheres(series, start, np.ones(len(start)), DIAMETER_NM)

    def missed(found: SphereFit) -> int:
        particles = found.centres_nm[found.spheres.are_particles]
        return int((cKDTree(particles).query(truth)[0] > DIAMETER_NM / 4).sum())

    def proposed() -> SphereFit:
        return with_proposals(fit, DIAMETER_NM, may_deform=False, progress=silent)

    with_sites = missed(proposed())
    with patch("processing.pipeline.proposals.on_sites", nothing):
        without = missed(proposed())
    assert missed(fit) >= 100
    assert without >= 10
    assert with_sites <= without // 4


def imaged(centres_nm: Float64, seed: int) -> TiltSeries:
    """Return aligned images in coarse steps, with noise, small displacements and angle errors."""
    angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + 1, 12.0)
    recording = jittered(
        len(angles_deg), jitter_px=0.1, angle_error_deg=0.05, counts=1000, seed=seed
    )
    size_px = int(2 * RADIUS_NM + 3 * DIAMETER_NM)
    return tilt_series(centres_nm, angles_deg, DIAMETER_NM, size_px, recording)


def nothing(fit: SphereFit, diameter_nm: float) -> Proposal:
    """Propose no sites."""
    return as_fitted(fit)
