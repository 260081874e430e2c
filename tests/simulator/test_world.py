"""Grid, stage, detector and dose effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from controller.hardware.interface import OutOfLimitsError
from controller.model.stage import StageLimits, StagePosition
from controller.rehearsal.operator_actions import OperatorAction
from simulator import detector, stage
from simulator.deformation import deformed, relative_size, share_reached
from simulator.grid import (
    FLIP,
    make_grid,
    mount_as_loaded,
    particles_in_holder,
    remount,
)
from simulator.imaging import carbon_nm
from simulator.settings import DetectorSettings, SpecimenSettings, StageSettings
from simulator.stage import HolderPose, StageTruth
from tests.simulator.specimens import error_free_settings, small_settings


@dataclass(frozen=True)
class Outcome:
    """Expected mounting after one action of the operator."""

    action: OperatorAction
    turned_over: bool
    scan_mirrored: bool
    assembly: int
    """Index of the assembly under the beam."""
    rotated_in_plane: bool
    """True if the set in-plane angle is applied, False if the angle is 0."""


HANDS = (
    Outcome(OperatorAction.FLIPPED, True, False, 0, True),
    Outcome(OperatorAction.NOT_FLIPPED, False, False, 0, False),
    Outcome(OperatorAction.TURNED_IN_PLANE, False, False, 0, True),
    Outcome(OperatorAction.OTHER_ASSEMBLY, True, False, 1, True),
    Outcome(OperatorAction.SCAN_CHANGED, False, True, 0, True),
)


@pytest.mark.parametrize("case", HANDS, ids=lambda case: case.action.value)
def test_each_action_gives_its_mounting(case: Outcome) -> None:
    settings = error_free_settings(remount={"in_plane_deg": 37.0})
    grid = make_grid(settings.specimen, settings.seed)
    mount = remount(settings, grid.assembly_positions_nm, case.action, np.random.default_rng(1))
    phi = np.deg2rad(37.0 if case.rotated_in_plane else 0.0)
    in_plane = np.array([[np.cos(phi), -np.sin(phi), 0], [np.sin(phi), np.cos(phi), 0], [0, 0, 1]])
    expected = in_plane @ (FLIP if case.turned_over else np.eye(3))
    np.testing.assert_allclose(mount.matrix, expected, atol=1e-12)
    np.testing.assert_allclose(
        mount.to_holder(grid.assembly_positions_nm)[case.assembly], 0.0, atol=1e-9
    )
    assert mount.scan_mirrored is case.scan_mirrored


def test_seat_tilt_and_shift_have_the_set_spread() -> None:
    settings = small_settings(remount={"seat_tilt_deg": 1.5, "shift_nm": 10.0})
    grid = make_grid(settings.specimen, settings.seed)
    rng = np.random.default_rng(2)
    mounts = [
        remount(settings, grid.assembly_positions_nm, OperatorAction.FLIPPED, rng)
        for _ in range(200)
    ]
    seats = [np.rad2deg(np.arccos(-np.array(mount.matrix)[2, 2])) for mount in mounts]
    assert 1.0 < np.mean(seats) < 2.5 and max(seats) < 4.5
    assert np.std([mount.shift_nm[:2] for mount in mounts]) == pytest.approx(10.0, rel=0.15)
    assert all(np.linalg.det(mount.matrix) == pytest.approx(1.0) for mount in mounts)


def test_flipped_points_project_to_the_mirror_image_at_the_opposite_tilt() -> None:
    settings = error_free_settings(remount={"in_plane_deg": 0.0})
    grid = make_grid(settings.specimen, settings.seed)
    shares = np.zeros(2)
    a = particles_in_holder(grid, shares, mount_as_loaded(settings)).centres_nm
    flipped = remount(
        settings, grid.assembly_positions_nm, OperatorAction.FLIPPED, np.random.default_rng(0)
    )
    b = particles_in_holder(grid, shares, flipped).centres_nm
    at_minus = stage.holder_to_beam(a, HolderPose(-40.0))
    at_plus = stage.holder_to_beam(b, HolderPose(40.0))
    np.testing.assert_allclose(at_plus[:, :2], at_minus[:, :2] * [1.0, -1.0], atol=1e-9)
    np.testing.assert_allclose(at_plus[:, 2], -at_minus[:, 2], atol=1e-9)


def test_positive_tilt_moves_high_points_towards_plus_x() -> None:
    moved = stage.holder_to_beam(
        np.array([[0.0, 5.0, 10.0]]), HolderPose(30.0, image_shift_nm=(1.0, 2.0))
    )
    np.testing.assert_allclose(moved, [[6.0, 7.0, 10.0 * np.cos(np.pi / 6)]])


def test_object_on_the_tilt_axis_stays_there_at_every_tilt() -> None:
    off_axis = np.array([[700.0, 0.0, -40.0]])
    for alpha_deg in (-74.0, 0.0, 60.0):
        moved = stage.holder_to_beam(off_axis, HolderPose(alpha_deg, x_nm=-700.0, z_nm=40.0))
        np.testing.assert_allclose(moved, 0.0, atol=1e-9)
    shown = stage.holder_to_beam(np.zeros((1, 3)), HolderPose(60.0, x_nm=10.0))
    np.testing.assert_allclose(shown[0, 0], 5.0)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (StagePosition(alpha_deg=80.5), "alpha_deg"),
        (StagePosition(alpha_deg=-81.0, x_nm=2e6), "x_nm"),
        (StagePosition(z_nm=-5e5), "z_nm"),
    ],
    ids=["tilt", "both at once", "height"],
)
def test_targets_outside_the_limits_are_refused(target: StagePosition, named: str) -> None:
    with pytest.raises(OutOfLimitsError, match=named):
        stage.check_limits(target, StageLimits())


def _truth_after(*targets: StagePosition, settings: StageSettings) -> StageTruth:
    truth = StageTruth()
    for number, target in enumerate(targets):
        truth = stage.after_move(truth, target, 10.0, settings, np.random.default_rng(number))
    return truth


def test_reported_tilt_is_the_target_and_the_true_tilt_has_the_set_error() -> None:
    settings = StageSettings(tilt_error_deg=0.2, backlash_deg=0.0)
    arrived = [
        stage.after_move(
            StageTruth(), StagePosition(alpha_deg=8.0), 0, settings, np.random.default_rng(n)
        )
        for n in range(300)
    ]
    errors = [stage.true_pose(one, 1e6, settings).alpha_deg - 8.0 for one in arrived]
    assert {one.reported.alpha_deg for one in arrived} == {8.0}
    assert np.std(errors) == pytest.approx(0.2, rel=0.15)


def test_backlash_depends_on_the_direction_of_approach() -> None:
    settings = error_free_settings(stage={"backlash_deg": 0.3, "backlash_nm": 5.0}).stage
    target = StagePosition(alpha_deg=10.0, x_nm=100.0)
    from_below = stage.true_pose(_truth_after(target, settings=settings), 1e6, settings)
    beyond = StagePosition(alpha_deg=12.0, x_nm=120.0)
    from_above = stage.true_pose(_truth_after(beyond, target, settings=settings), 1e6, settings)
    assert from_above.alpha_deg - from_below.alpha_deg == pytest.approx(0.3)
    assert from_above.x_nm - from_below.x_nm == pytest.approx(5.0)


def test_drift_decays_after_a_move() -> None:
    settings = error_free_settings(stage={"drift_nm": 6.0, "drift_decay_s": 10.0}).stage
    truth = _truth_after(StagePosition(alpha_deg=2.0), settings=settings)

    def drift_nm(after_s: float) -> float:
        pose = stage.true_pose(truth, 10.0 + after_s, settings)
        return float(np.hypot(*pose.image_shift_nm))

    assert [drift_nm(s) for s in (0.0, 10.0, 100.0)] == pytest.approx(
        [6.0, 6.0 / np.e, 0.0], abs=1e-3
    )


def test_shift_without_tilt_keeps_the_jump_of_the_last_tilt() -> None:
    settings = StageSettings(jitter_nm=20.0)
    tilted = _truth_after(StagePosition(alpha_deg=2.0), settings=settings)
    shifted = _truth_after(
        StagePosition(alpha_deg=2.0), StagePosition(alpha_deg=2, x_nm=9), settings=settings
    )
    assert shifted.jump_nm == tilted.jump_nm != (0.0, 0.0)


def test_slowest_axis_sets_the_duration_of_a_move() -> None:
    settings = StageSettings(tilt_speed_deg_per_s=10.0, shift_speed_nm_per_s=100.0)
    target = StagePosition(alpha_deg=20.0, x_nm=500.0)
    assert stage.move_duration_s(StagePosition(), target, settings) == pytest.approx(5.0)


def test_counts_have_the_set_gain_noise_and_clipping() -> None:
    settings = DetectorSettings(counts_per_electron=8.0, dark_counts=100.0, read_noise_counts=6.0)
    beam = detector.electrons_per_pixel(70.0, 10.0)
    assert beam == pytest.approx(4369.0, rel=1e-3)
    fraction = np.full((300, 300), 0.1, np.float32)
    counts = detector.to_counts(fraction, beam, settings, np.random.default_rng(0))
    assert counts.dtype == np.uint16
    assert counts.mean() == pytest.approx(100.0 + 8.0 * 436.9, rel=1e-3)
    assert counts.var() == pytest.approx(64.0 * 436.9 + 36.0, rel=0.03)
    bright = detector.to_counts(fraction * 10.0, beam * 10, settings, np.random.default_rng(0))
    assert bright.min() == bright.max() == 65535


@pytest.mark.parametrize(
    ("dose", "size", "carbon"),
    [(0.0, 1.0, 10.0), (2000.0, 1 - 0.03 * 0.632, 10.0 + 5.0 * 0.095), (1e6, 0.97, 15.0)],
    ids=["fresh", "at the dose constant", "very high dose"],
)
def test_dose_shrinks_and_contaminates_the_specimen(
    dose: float, size: float, carbon: float
) -> None:
    settings = SpecimenSettings(shrinkage=0.03, contamination_nm=5.0)
    share = share_reached(dose, settings)
    assert relative_size(share, settings) == pytest.approx(size, abs=1e-4)
    assert carbon_nm(dose, settings) == pytest.approx(carbon, abs=1e-2)


@pytest.mark.parametrize(
    ("keys", "before", "after"),
    [
        ({"shrinkage": 0.02}, (10.0, 20.0, -30.0), (9.8, 19.6, -29.4)),
        ({"collapse": 0.03}, (10.0, 20.0, -30.0), (10.0, 20.0, -29.1)),
        ({"lean": (0.02, -0.01)}, (10.0, 20.0, -30.0), (9.4, 20.3, -30.0)),
        # the surface at +x shrinks by 0.02 more than the one at -x, and the middle not at all
        ({"uneven_shrinkage": (0.02, 0.0, 0.0)}, (50.0, 0.0, 0.0), (49.75, 0.0, 0.0)),
        ({"uneven_shrinkage": (0.02, 0.0, 0.0)}, (-50.0, 0.0, 0.0), (-50.25, 0.0, 0.0)),
    ],
    ids=["even", "along the beam", "lean", "the side that shrinks", "the side that grows"],
)
def test_deformation_moves_particles(
    keys: dict[str, Any], before: tuple[float, ...], after: tuple[float, ...]
) -> None:
    settings = SpecimenSettings(assembly_diameter_nm=100.0, **{"shrinkage": 0.0, **keys})
    start = np.array([before])
    np.testing.assert_allclose(deformed(start, 1.0, settings), [after], atol=1e-9)
    half_way = (start + np.array(after)) / 2
    np.testing.assert_allclose(deformed(start, 0.5, settings), half_way, atol=1e-9)


def test_uneven_shrinkage_changes_distances_alike_in_all_directions() -> None:
    settings = SpecimenSettings(
        assembly_diameter_nm=100.0, shrinkage=0.0, uneven_shrinkage=(0.0, 0.0, 0.04)
    )
    at = np.array([10.0, -5.0, 25.0])
    steps = 1e-3 * np.eye(3)
    moved = deformed(np.vstack([at, at + steps]), 1.0, settings)
    sizes = np.linalg.norm(moved[1:] - moved[0], axis=1) / 1e-3
    np.testing.assert_allclose(sizes, 1 - 0.04 * 25.0 / 100.0, atol=1e-4)
