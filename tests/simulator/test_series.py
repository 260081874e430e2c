"""Both series in one call: reproducible, and consistent with the truth."""

from __future__ import annotations

import numpy as np
import pytest

from controller.rehearsal.operator_actions import OperatorAction
from simulator.grid import FLIP
from simulator.optics import render
from simulator.series import DualSeries, simulate_dual
from simulator.specimen import Particles
from tests.simulator.specimens import SCAN, error_free_settings, small_settings

ANGLES_A, ANGLES_B = (-40.0, 0.0, 40.0), (-40.0, 0.0, 40.0, 42.0)


@pytest.fixture(scope="module")
def dual() -> DualSeries:
    return simulate_dual(
        error_free_settings(), SCAN, ANGLES_A, ANGLES_B, 70.0, tracking_error_nm=0.0
    )


def test_series_have_the_requested_shape(dual: DualSeries) -> None:
    assert dual.a.counts.shape == (3, 96, 96) and dual.b.counts.shape == (4, 96, 96)
    assert dual.a.counts.dtype == np.uint16
    np.testing.assert_array_equal(dual.b.reported_deg, ANGLES_B)


def test_truth_rotated_into_b_matches_the_image_of_b(dual: DualSeries) -> None:
    in_b = dual.truth.centres_nm @ dual.matrix  # p_B = matrix^T p_A
    for particles, frame in ((dual.truth.centres_nm, dual.a.counts[1]), (in_b, dual.b.counts[1])):
        expected = render(
            Particles(particles, dual.truth.diameters_nm), SCAN, error_free_settings().optics
        )
        assert np.corrcoef(expected.ravel(), frame.ravel())[0, 1] > 0.995


def test_rotation_between_the_series_is_the_flip(dual: DualSeries) -> None:
    assert np.linalg.det(dual.matrix) == pytest.approx(1.0)
    assert dual.matrix[2, 2] == pytest.approx(FLIP[2, 2])
    not_flipped = simulate_dual(
        error_free_settings(), SCAN, [0.0], [0.0], 70.0, action=OperatorAction.NOT_FLIPPED
    )
    assert not_flipped.matrix[2, 2] == pytest.approx(1.0)


def test_tilt_and_tracking_errors_have_the_set_size() -> None:
    settings = small_settings(stage={"tilt_error_deg": 0.2})
    angles = np.linspace(-60.0, 60.0, 40)
    dual = simulate_dual(settings, SCAN, angles, [0.0], 70.0, tracking_error_nm=3.0)
    assert np.std(dual.a.true_deg - dual.a.reported_deg) == pytest.approx(0.2, rel=0.35)
    assert np.std(dual.a.shifts_nm) == pytest.approx(3.0, rel=0.3)
    again = simulate_dual(settings, SCAN, angles, [0.0], 70.0, tracking_error_nm=3.0)
    np.testing.assert_array_equal(dual.a.counts, again.a.counts)


def test_without_a_beam_shower_a_is_larger_than_b() -> None:
    settings = small_settings(specimen={"shrinkage": 0.04})
    scales = [
        simulate_dual(settings, SCAN, [0.0] * 8, [0.0] * 8, 200.0, shower_dose_e_per_A2=dose).scale
        for dose in (0.0, 2.0e4)
    ]
    assert scales[0] > 1.005 and scales[1] == pytest.approx(1.0, abs=1e-4)
