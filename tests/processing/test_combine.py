"""Registration through the flip, resampling and fusion against known poses and volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing import scratch
from processing.combine.envelope import Envelope
from processing.combine.fuse import fuse
from processing.combine.intensity import match_intensity
from processing.combine.pose import (
    FLIP,
    Pose,
    about_z,
    fit_pose,
    in_plane_and_seat_deg,
)
from processing.combine.register import RegistrationResult, register, register_again, relative_size
from processing.combine.resample import resample
from processing.errors import RegistrationRefusedError, UnclearPoseError
from processing.results import FusionRule
from simulator.grid import make_grid
from simulator.settings import SpecimenSettings
from tests.support.spheres import packed

DIAMETER_NM = 6.3
SPACING_NM = 7.7


def assembly(order: str, seed: int, radius_nm: float = 36.0) -> np.ndarray:
    """Build a spherical assembly with one flat side; 36 nm hold about 500 particles."""
    points = packed(radius_nm, SPACING_NM, order="fcc", seed=seed)
    rng = np.random.default_rng(seed)
    points = points + rng.normal(0, 0.15, points.shape) + rng.uniform(-4, 4, 3)
    if order == "disordered":
        points = disordered(points, rng)
    flat_nm = 0.72 * radius_nm
    return points[(points[:, 2] < flat_nm) & (np.linalg.norm(points, axis=1) < radius_nm)]


def disordered(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Destroy a lattice by large displacements, then push overlapping particles apart."""
    points = points + rng.normal(0, 4.0, points.shape)
    for _ in range(60):
        pairs = cKDTree(points).query_pairs(SPACING_NM, output_type="ndarray")
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        distance = np.linalg.norm(apart, axis=1, keepdims=True)
        push = 0.2 * (SPACING_NM - distance) * apart / distance
        np.add.at(points, pairs[:, 0], push)
        np.add.at(points, pairs[:, 1], -push)
    return points


def remounted(points: np.ndarray, seed: int) -> tuple[np.ndarray, Pose, float]:
    """Return the points after a flip and remount, the inverse pose, and phi."""
    rng = np.random.default_rng(seed)
    phi_deg = float(rng.uniform(-180, 180))
    seat = Rotation.from_euler("xy", rng.normal(0, 1.5, 2), degrees=True).as_matrix()
    a_to_b = Pose(about_z(phi_deg) @ seat @ FLIP, rng.normal(0, 8, 3))
    return a_to_b.apply(points), a_to_b.inverse(), phi_deg


def detected(points: np.ndarray, seed: int, exit_side: int) -> np.ndarray:
    """Particles found in one series: some are missed on the exit side, all have small errors."""
    rng = np.random.default_rng(seed)
    depth = exit_side * points[:, 2] / np.abs(points[:, 2]).max()
    kept = rng.uniform(size=len(points)) < 1 - 0.25 * np.clip(depth, 0, 1)
    return points[kept] + rng.normal(0, 0.2, (kept.sum(), 3))


def angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(one @ other.T) - 1) / 2, -1, 1))))


def best_rotation(in_a: np.ndarray, in_b: np.ndarray, pose: Pose) -> np.ndarray:
    """Return the rotation that fits the true pairs best: the errors of position allow no better."""
    distances_nm, nearest = cKDTree(in_a).query(pose.apply(in_b))
    paired = distances_nm < 1.5
    a, b = in_a[nearest[paired]], in_b[paired]
    rotation, _ = Rotation.align_vectors(a - a.mean(axis=0), b - b.mean(axis=0))
    return rotation.as_matrix()


# `make soak` does the same for a hundred seeds in both orders
@pytest.mark.parametrize(
    ("order", "seed"), [(("fcc", "disordered")[seed % 2], seed) for seed in range(10)]
)
def test_b_is_registered_onto_a(order: str, seed: int) -> None:
    points = assembly(order, seed)
    moved, pose, phi_deg = remounted(detected(points, seed + 100, exit_side=1), seed)
    in_a = detected(points, seed + 200, exit_side=-1)
    found = register(in_a, moved, DIAMETER_NM)
    assert angle_deg(found.pose.matrix, pose.matrix) < 0.25
    assert angle_deg(found.pose.matrix, best_rotation(in_a, moved, pose)) < 0.01
    centre = moved.mean(axis=0)[None]
    assert np.linalg.norm(found.pose.apply(centre) - pose.apply(centre)) < 0.15
    assert np.linalg.det(found.pose.matrix) == pytest.approx(1)
    assert (found.in_plane_deg - phi_deg + 180) % 360 - 180 == pytest.approx(0, abs=0.3)
    assert found.share > max(0.7, found.runner_up)


@pytest.mark.parametrize("order", ["fcc", "disordered"])
def test_outlines_agree_where_each_series_misses_many_particles_of_its_exit_side(
    order: str,
) -> None:
    whole = assembly(order, 1, radius_nm=60.0)
    height, drawn = whole[:, 2] - whole[:, 2].mean(), np.random.default_rng(1)
    a, b = (whole[(up > 0) | (drawn.random(len(whole)) < 0.6)] for up in (height, -height))
    outline = Envelope(a, DIAMETER_NM)
    assert outline.overlap(b) > 0.91
    aside_nm = np.array([3 * DIAMETER_NM, 0.0, 0.0])
    assert outline.overlap(b + aside_nm) < 0.85


@pytest.mark.parametrize(("order", "size"), [("disordered", 0.97), ("fcc", 1.02)])
def test_the_scale_of_b_is_found(order: str, size: float) -> None:
    """At twice the usual radius, 3 % of it is half the pairing distance."""
    points = assembly(order, 3, radius_nm=72.0)
    moved, pose, _ = remounted(detected(points, 4, exit_side=1), 3)
    found = register(detected(points, 5, exit_side=-1), moved * size, DIAMETER_NM)
    assert found.pose.scale == pytest.approx(1 / size, abs=1e-3)
    assert angle_deg(found.pose.matrix, pose.matrix) < 0.1
    assert found.share > max(0.7, found.runner_up)


@pytest.mark.parametrize(
    ("radius_nm", "size"), [(22.0, 1.1), (22.0, 0.92), (36.0, 1.06), (36.0, 0.97), (36.0, 1.02)]
)
@pytest.mark.parametrize("order", ["disordered", "fcc"])
def test_another_magnification_of_b_is_measured(order: str, radius_nm: float, size: float) -> None:
    points = assembly(order, 3, radius_nm)
    a, b = detected(points, 5, exit_side=-1), detected(points, 4, exit_side=1)
    moved = remounted(b, 3)[0] * size
    pose = register(a, moved, DIAMETER_NM).pose
    assert relative_size(a, moved, pose, DIAMETER_NM) == pytest.approx(1 / size, abs=3e-3)


def test_a_seat_tilt_of_several_degrees_is_found() -> None:
    """Such a tilt moves the edge of a large crystal by a whole lattice step."""
    points = make_grid(SpecimenSettings(), seed=106).assemblies[0].centres_nm
    seat = Rotation.from_euler("xy", [3.47, 2.18], degrees=True).as_matrix()
    a_to_b = Pose(about_z(83.9) @ seat @ FLIP, np.array([5.0, -9.0, 3.0]))
    found = register(points, a_to_b.apply(points), DIAMETER_NM)
    assert angle_deg(found.pose.matrix, a_to_b.inverse().matrix) < 0.1
    assert found.share > max(0.7, found.runner_up)


def registered_early(order: str) -> tuple[np.ndarray, np.ndarray, RegistrationResult]:
    """Return A, all of B and a registration that knew two thirds of the particles of B."""
    points = assembly(order, 4)
    in_a = detected(points, 204, exit_side=-1)
    in_b, _, _ = remounted(detected(points, 104, exit_side=1), 4)
    few = np.random.default_rng(6).uniform(size=len(in_b)) < 2 / 3
    return in_a, in_b, register(in_a, in_b[few], DIAMETER_NM)


@pytest.mark.parametrize("order", ["fcc", "disordered"])
def test_more_particles_of_b_are_registered_from_the_poses_compared_before(order: str) -> None:
    in_a, in_b, early = registered_early(order)
    again = register_again(in_a, in_b, DIAMETER_NM, early)
    anew = register(in_a, in_b, DIAMETER_NM)
    assert again is not None
    assert angle_deg(again.pose.matrix, anew.pose.matrix) < 1e-3
    assert again.pose.shift_nm == pytest.approx(anew.pose.shift_nm, abs=1e-3)
    assert again.share == pytest.approx(anew.share, abs=1e-3)


def one_lattice_step_off(early: RegistrationResult) -> RegistrationResult:
    """Return the registration that had taken a step of the lattice for the right pose."""
    right, *others = early.compared
    wrong = next(fit for fit in others if fit.hypothesis is right.hypothesis)
    return replace(early, compared=(wrong, right, *others), share=wrong.share)


CHANGES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], bool]] = {
    "B fits better one step further": ("fcc", lambda b: b, True),
    "another object": ("disordered", lambda b: assembly("disordered", 77), False),
    "another crystal": ("fcc", lambda b: assembly("fcc", 78), False),
    "mirrored": ("disordered", lambda b: b * [-1, 1, 1], False),
    "not flipped": ("disordered", lambda b: b @ FLIP, False),
    "turned by a right angle": ("fcc", lambda b: b @ about_z(90.0).T, False),
    "half of the particles in wrong places": (
        "disordered",
        lambda b: np.concatenate([b[::2], assembly("disordered", 77)[::2]]),
        False,
    ),
    "three particles": ("fcc", lambda b: b[:3], False),
}


@pytest.mark.parametrize(("order", "change", "off"), CHANGES.values(), ids=CHANGES)
def test_poses_compared_before_do_not_settle_a_changed_b(
    order: str, change: Callable[[np.ndarray], np.ndarray], off: bool
) -> None:
    in_a, in_b, early = registered_early(order)
    known = one_lattice_step_off(early) if off else early
    assert register_again(in_a, change(in_b), DIAMETER_NM, known) is None


Spoil = Callable[[np.ndarray], np.ndarray]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda p: p, "not flipped", id="A again"),
        pytest.param(lambda p: p @ about_z(64).T, "same side up", id="only turned in the plane"),
        pytest.param(lambda p: remounted(p, 1)[0] * [-1, 1, 1], "mirrored", id="mirrored"),
        pytest.param(lambda p: p * [-1, 1, 1], "scan settings", id="mirrored and not flipped"),
        pytest.param(lambda p: assembly("disordered", 77), "another object", id="another object"),
        pytest.param(lambda p: assembly("fcc", 78), "another object", id="another crystal"),
        pytest.param(lambda p: p[:2], "2 particles", id="two particles"),
        pytest.param(lambda p: p[:0], "0 particles", id="no particle"),
    ],
)
def test_b_is_refused_in_one_line_if_it_is_not_a_flipped_a(spoil: Spoil, message: str) -> None:
    points = assembly("disordered", 5)
    with pytest.raises(RegistrationRefusedError, match=message) as refused:
        register(points, spoil(points), DIAMETER_NM)
    assert "\n" not in str(refused.value)


def test_a_crystal_that_is_almost_its_own_mirror_image_blames_no_angle() -> None:
    lattice = packed(34.0, 8.0, order="fcc", seed=2)
    points = lattice[np.linalg.norm(lattice - [30.0, 4.0, 12.0], axis=1) > 16.0]
    with pytest.raises(RegistrationRefusedError, match="nearly alike") as refused:
        register(points, points * [-1, 1, 1], DIAMETER_NM)
    assert "reverse the sign" not in str(refused.value)


def test_half_of_the_particles_do_not_show_how_b_was_put_back() -> None:
    """In coarse tilt steps half of a crystal fits its mirror image, a third the right pose."""
    points = assembly("disordered", 5)
    half, third = len(points) // 2, len(points) // 3
    moved, _, _ = remounted(points, 1)
    b = np.concatenate([points[:half] * [-1, 1, 1], moved[:third]])
    with pytest.raises(
        UnclearPoseError, match=r"no pose well.*wrong places.*wrong sign"
    ) as refused:
        register(points, b, DIAMETER_NM)
    assert "reverse the sign" not in str(refused.value)


def test_six_particles_are_enough() -> None:
    points = np.array([[0, 0, 0], [13, 1, 2], [-4, 12, 1], [3, -5, 14], [9, 9, -8], [-9, 2, -6.0]])
    moved, pose, _ = remounted(points, 8)
    found = register(points, moved, 6.0)
    assert angle_deg(found.pose.matrix, pose.matrix) < 0.1


def test_a_fitted_pose_never_mirrors() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    assert np.linalg.det(fit_pose(points, points * [1, 1, -1]).matrix) == pytest.approx(1)


@pytest.mark.parametrize("phi_deg", [-170.0, -64.0, 0.0, 30.0, 141.0])
def test_in_plane_angle_and_seat_tilt_are_read_from_a_pose(phi_deg: float) -> None:
    seat = Rotation.from_euler("x", 2, degrees=True).as_matrix()
    a_to_b = Pose(about_z(phi_deg) @ seat @ FLIP, np.ones(3))
    found_phi_deg, seat_deg = in_plane_and_seat_deg(a_to_b.inverse().matrix)
    assert found_phi_deg == pytest.approx(phi_deg, abs=1e-6)
    assert seat_deg == pytest.approx(2.0, abs=1e-6)


def blob(place: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Volume with a Gaussian at a point (x, y, z) from the volume's centre, voxels."""
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    square = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2
    return np.exp(-square / 8).astype(np.float32)


@pytest.mark.parametrize(
    ("pixel_a_nm", "shape"),
    [(0.8, (40, 48, 44)), (1.0, (40, 40, 40)), (0.6, (70, 52, 60))],
    ids=["same pixel", "coarser", "finer, two slabs"],
)
def test_resampling_moves_a_blob_by_the_pose(pixel_a_nm: float, shape: tuple[int, ...]) -> None:
    _, pose, _ = remounted(np.zeros((1, 3)), 4)
    pose = Pose(pose.matrix, np.array([1.0, -2.0, 0.5]))
    place_nm = np.array([4.0, 6.0, -5.0])
    moved = resample(blob(place_nm / 0.8, (44, 40, 48)), pose, shape, pixel_a_nm, 0.8)
    centre = np.array(ndimage.center_of_mass(np.maximum(moved, 0)))
    found_nm = (centre - (np.array(shape) - 1) / 2)[::-1] * pixel_a_nm
    np.testing.assert_allclose(found_nm, pose.apply(place_nm[None])[0], atol=0.05)


@pytest.fixture(scope="module")
def sides() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a true volume, and copies with its lower (A) and upper half (B) blurred."""
    rng = np.random.default_rng(1)
    truth = ndimage.gaussian_filter(rng.uniform(size=(64, 48, 48)) ** 30, 1.2).astype(np.float32)
    truth *= 1 / truth.max()
    blurred = ndimage.gaussian_filter(truth, 2.0)
    depth = np.clip((np.arange(64) - 16) / 32, 0, 1)[:, None, None].astype(np.float32)
    a, b = depth * truth + (1 - depth) * blurred, (1 - depth) * truth + depth * blurred
    return truth, a, b


@pytest.mark.parametrize("rule", FusionRule)
def test_two_equal_volumes_are_not_changed_by_fusion(
    rule: str, sides: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    truth = sides[0]
    np.testing.assert_allclose(fuse(truth, truth, rule), truth, atol=1e-5)


@pytest.mark.parametrize("rule", ["masked", "depth-weighted"])
def test_fusion_keeps_the_sharp_side_of_each_volume(
    rule: str, sides: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    truth, a, b = sides

    def error(volume: np.ndarray) -> float:
        return float(np.linalg.norm(volume - truth))

    assert error(fuse(a, b, rule)) < 0.8 * error(fuse(a, b, FusionRule.MEAN))


@pytest.mark.parametrize("rule", ["masked", "paper"])
def test_the_result_does_not_depend_on_the_slabs(
    rule: str,
    sides: tuple[np.ndarray, np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, a, b = sides
    whole = fuse(a, b, rule)
    monkeypatch.setattr(scratch, "SLAB", 16)
    np.testing.assert_allclose(fuse(a, b, rule), whole, atol=1e-6)


def test_the_intensities_of_b_are_matched_to_a() -> None:
    rng = np.random.default_rng(2)
    a = np.zeros((40, 40, 40), np.float32)
    a[5:35, 8:32, 8:32] = ndimage.gaussian_filter(rng.uniform(1, 3, (30, 24, 24)), 1.0)
    faint = a / np.float32(3.7)
    matched = match_intensity(a, faint)(faint)
    np.testing.assert_allclose(matched, a, rtol=0.02, atol=0.02)
