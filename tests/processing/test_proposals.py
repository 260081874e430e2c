"""Particles beside the sites of their lattice are brought back, if the images agree."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from processing import ProcessSettings, process_series
from processing.fit.spheres import SphereFit
from processing.pipeline.proposals import Proposal, as_fitted
from simulator.settings import Packing
from tests.calibration.cases import RANGE_DEG, Specimen
from tests.calibration.measure import real_particles
from tests.support.odd_crystals import simulated_as_faulted
from tests.support.recorded import as_read

SIZE_NM, PIXEL_NM, STEP_DEG, SEED = 90.0, 1.2, 10.0, 77


def test_places_beside_the_sites_of_a_crystal_are_brought_back() -> None:
    wrong, before = wrong_places("perfect"), wrong_places("perfect", sites=False)
    assert before >= 10
    assert wrong <= before // 4


@pytest.mark.parametrize(
    "name",
    ["exit third disordered", "exit third 0.4 bonds aside", "exit third turned by 6 degrees"],
)
def test_an_exit_side_that_is_not_that_of_the_crystal_stays_as_it_is(name: str) -> None:
    assert wrong_places(name) <= wrong_places(name, sites=False)


def wrong_places(name: str, *, sites: bool = True) -> int:
    """Return how many particles of one series are beside the true ones, or are missed."""
    angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + STEP_DEG / 2, STEP_DEG)
    with simulated_as_faulted(name):
        data = Specimen(Packing.FAULTED, SIZE_NM, PIXEL_NM, SEED).record(angles_deg, angles_deg)
    one = as_read(data.a, PIXEL_NM, "A")
    settings = ProcessSettings(second_size=False)
    if sites:
        found = process_series(one, settings)
    else:
        with patch("processing.pipeline.proposals.on_sites", nothing):
            found = process_series(one, settings)
    diameter_nm = float(data.truth.diameters_nm.mean())
    real = real_particles(data.truth.centres_nm, found.detection.table.centres_nm, diameter_nm)
    return max(len(real), len(data.truth.centres_nm)) - int(real.sum())


def nothing(fit: SphereFit, diameter_nm: float) -> Proposal:
    """Propose no sites."""
    return as_fitted(fit)
