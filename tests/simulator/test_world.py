"""Grid, stage, detector, dose: what happens to the specimen between two frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from controller.microscope.interface import Hands, OutOfLimitsError, StageLimits, StagePosition
from simulator import detector, stage
from simulator.grid import FLIP, as_loaded, in_holder, make_grid, remount, size_after
from simulator.imaging import carbon_nm
from simulator.settings import DetectorSettings, SpecimenSettings, StageSettings
from simulator.stage import Pose, StageTruth
from tests.simulator.specimens import settings, still


@dataclass(frozen=True)
class Outcome:
    """What becomes of the grid."""

    done: Hands
    turned_over: bool
    scan_mirrored: bool
    assembly: int
    """Which one is under the beam."""
    in_plane: bool
    """Whether the in-plane angle is the one asked for, not none."""


HANDS = (
    Outcome(Hands.FLIPPED, True, False, 0, True),
    Outcome(Hands.NOT_FLIPPED, False, False, 0, False),
    Outcome(Hands.TURNED_IN_PLANE, False, False, 0, True),
    Outcome(Hands.OTHER_ASSEMBLY, True, False, 1, True),
    Outcome(Hands.SCAN_CHANGED, False, True, 0, True),
)


@pytest.mark.parametrize("case", HANDS, ids=lambda case: case.done.value)
def test_hands_do_what_they_are_said_to(case: Outcome) -> None:
    told = still(remount={"in_plane_deg": 37.0})
    grid = make_grid(told.specimen, told.seed)
    mount = remount(told, grid.places_nm, case.done, np.random.default_rng(1))
    phi = np.deg2rad(37.0 if case.in_plane else 0.0)
    turn = np.array([[np.cos(phi), -np.sin(phi), 0], [np.sin(phi), np.cos(phi), 0], [0, 0, 1]])
    expected = turn @ (FLIP if case.turned_over else np.eye(3))
    np.testing.assert_allclose(mount.matrix, expected, atol=1e-12)
    np.testing.assert_allclose(mount.place(grid.places_nm)[case.assembly], 0.0, atol=1e-9)
    assert mount.scan_mirrored is case.scan_mirrored


def test_seat_tilt_and_shift_are_drawn_within_reason() -> None:
    told = settings(remount={"seat_tilt_deg": 1.5, "shift_nm": 10.0})
    grid = make_grid(told.specimen, told.seed)
    rng = np.random.default_rng(2)
    mounts = [remount(told, grid.places_nm, Hands.FLIPPED, rng) for _ in range(200)]
    seats = [np.rad2deg(np.arccos(-np.array(mount.matrix)[2, 2])) for mount in mounts]
    assert 1.0 < np.mean(seats) < 2.5 and max(seats) < 4.5
    assert np.std([mount.shift_nm[:2] for mount in mounts]) == pytest.approx(10.0, rel=0.15)
    assert all(np.linalg.det(mount.matrix) == pytest.approx(1.0) for mount in mounts)


def test_flipped_points_project_as_the_mirror_image_at_the_opposite_tilt() -> None:
    told = still(remount={"in_plane_deg": 0.0})
    grid = make_grid(told.specimen, told.seed)
    sizes = np.ones(2)
    a = in_holder(grid, sizes, as_loaded(told)).centres_nm
    flipped = remount(told, grid.places_nm, Hands.FLIPPED, np.random.default_rng(0))
    b = in_holder(grid, sizes, flipped).centres_nm
    at_minus = stage.tilted(a, Pose(-40.0))
    at_plus = stage.tilted(b, Pose(40.0))
    np.testing.assert_allclose(at_plus[:, :2], at_minus[:, :2] * [1.0, -1.0], atol=1e-9)
    np.testing.assert_allclose(at_plus[:, 2], -at_minus[:, 2], atol=1e-9)


def test_tilt_moves_what_is_high_towards_plus_x() -> None:
    seen = stage.tilted(np.array([[0.0, 5.0, 10.0]]), Pose(30.0, seen_nm=(1.0, 2.0)))
    np.testing.assert_allclose(seen, [[6.0, 7.0, 10.0 * np.cos(np.pi / 6)]])


def test_what_was_brought_onto_the_tilt_axis_stays_there_at_every_tilt() -> None:
    off_axis = np.array([[700.0, 0.0, -40.0]])
    for alpha_deg in (-74.0, 0.0, 60.0):
        seen = stage.tilted(off_axis, Pose(alpha_deg, x_nm=-700.0, z_nm=40.0))
        np.testing.assert_allclose(seen, 0.0, atol=1e-9)
    shown = stage.tilted(np.zeros((1, 3)), Pose(60.0, x_nm=10.0))
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
def test_targets_beyond_the_limits_are_refused(target: StagePosition, named: str) -> None:
    with pytest.raises(OutOfLimitsError, match=named):
        stage.check_limits(target, StageLimits())


def _arrived(*targets: StagePosition, told: StageSettings) -> StageTruth:
    truth = StageTruth()
    for number, target in enumerate(targets):
        truth = stage.arrive(truth, target, 10.0, told, np.random.default_rng(number))
    return truth


def test_reported_tilt_is_the_one_asked_for_and_the_true_one_differs() -> None:
    told = StageSettings(tilt_error_deg=0.2, backlash_deg=0.0)
    arrived = [
        stage.arrive(StageTruth(), StagePosition(alpha_deg=8.0), 0, told, np.random.default_rng(n))
        for n in range(300)
    ]
    errors = [stage.pose(one, 1e6, told).alpha_deg - 8.0 for one in arrived]
    assert {one.reported.alpha_deg for one in arrived} == {8.0}
    assert np.std(errors) == pytest.approx(0.2, rel=0.15)


def test_backlash_depends_on_the_side_it_came_from() -> None:
    told = still(stage={"backlash_deg": 0.3, "backlash_nm": 5.0}).stage
    there = StagePosition(alpha_deg=10.0, x_nm=100.0)
    from_below = stage.pose(_arrived(there, told=told), 1e6, told)
    beyond = StagePosition(alpha_deg=12.0, x_nm=120.0)
    from_above = stage.pose(_arrived(beyond, there, told=told), 1e6, told)
    assert from_above.alpha_deg - from_below.alpha_deg == pytest.approx(0.3)
    assert from_above.x_nm - from_below.x_nm == pytest.approx(5.0)


def test_drift_decays_after_a_move() -> None:
    told = still(stage={"drift_nm": 6.0, "drift_decay_s": 10.0}).stage
    truth = _arrived(StagePosition(alpha_deg=2.0), told=told)

    def off(after_s: float) -> float:
        where = stage.pose(truth, 10.0 + after_s, told)
        return float(np.hypot(*where.seen_nm))

    assert [off(s) for s in (0.0, 10.0, 100.0)] == pytest.approx([6.0, 6.0 / np.e, 0.0], abs=1e-3)


def test_shift_alone_keeps_the_jump_of_the_last_tilt() -> None:
    told = StageSettings(jitter_nm=20.0)
    tilted_ = _arrived(StagePosition(alpha_deg=2.0), told=told)
    shifted = _arrived(StagePosition(alpha_deg=2.0), StagePosition(alpha_deg=2, x_nm=9), told=told)
    assert shifted.jump_nm == tilted_.jump_nm != (0.0, 0.0)


def test_travel_takes_the_slower_axis() -> None:
    told = StageSettings(tilt_speed_deg_per_s=10.0, shift_speed_nm_per_s=100.0)
    target = StagePosition(alpha_deg=20.0, x_nm=500.0)
    assert stage.travel_s(StagePosition(), target, told) == pytest.approx(5.0)


def test_detector_counts_electrons() -> None:
    told = DetectorSettings(counts_per_electron=8.0, dark_counts=100.0, read_noise_counts=6.0)
    beam = detector.electrons_per_pixel(70.0, 10.0)
    assert beam == pytest.approx(4369.0, rel=1e-3)
    share = np.full((300, 300), 0.1, np.float32)
    counts = detector.record(share, beam, told, np.random.default_rng(0))
    assert counts.dtype == np.uint16
    assert counts.mean() == pytest.approx(100.0 + 8.0 * 436.9, rel=1e-3)
    assert counts.var() == pytest.approx(64.0 * 436.9 + 36.0, rel=0.03)
    bright = detector.record(share * 10.0, beam * 10, told, np.random.default_rng(0))
    assert bright.min() == bright.max() == 65535


@pytest.mark.parametrize(
    ("dose", "size", "carbon"),
    [(0.0, 1.0, 10.0), (2000.0, 1 - 0.03 * 0.632, 10.0 + 5.0 * 0.095), (1e6, 0.97, 15.0)],
    ids=["fresh", "at the constant", "for ever"],
)
def test_dose_shrinks_and_dirties(dose: float, size: float, carbon: float) -> None:
    told = SpecimenSettings(shrinkage=0.03, contamination_nm=5.0)
    assert size_after(dose, told) == pytest.approx(size, abs=1e-4)
    assert carbon_nm(dose, told) == pytest.approx(carbon, abs=1e-2)
