"""The flip check tells a flipped grid from a turned one and from another object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from controller.model.scan import ScanSettings
from controller.rehearsal.operator_actions import OperatorAction
from processing.errors import ProcessingError
from processing.images.flip import FLIP, FlipMatch, match_flip
from processing.images.views import TiltedViews
from simulator.series import simulate_dual
from simulator.settings import Packing, RemountSettings, SimulatorSettings, SpecimenSettings
from tests.support.spheres import Recording, jittered, tilt_series

PIXEL_NM = 1.2
TILTS_A = np.arange(-66.0, 67.0, 6.0)
TILTS_B = [0.0, 30.0, -30.0]


@dataclass(frozen=True)
class Case:
    name: str
    packing: Packing
    action: OperatorAction
    in_plane_deg: float
    expected: str
    tilts_a: tuple[float, ...] = tuple(TILTS_A)
    tilts_b: tuple[float, ...] = tuple(TILTS_B)
    seed: int = 11


FLIPPED, TURNED = OperatorAction.FLIPPED, OperatorAction.TURNED_IN_PLANE
CASES = [
    Case("ordered, flipped", Packing.FCC, FLIPPED, 71.0, "flipped"),
    Case("ordered, flipped, only one image", Packing.FCC, FLIPPED, 71.0, "flipped", tilts_b=(0.0,)),
    Case("disordered, flipped", Packing.DISORDERED, FLIPPED, -128.0, "flipped"),
    Case("grains, flipped", Packing.MULTI_GRAIN, FLIPPED, 5.0, "flipped"),
    Case("A of a few tilts", Packing.FCC, FLIPPED, 150.0, "flipped", (-4.0, -2.0, 0.0, 2.0)),
    Case("ordered, only turned", Packing.FCC, TURNED, 40.0, "same side"),
    Case("ordered, turned by 180 degrees", Packing.FCC, TURNED, 180.0, "same side", seed=12),
    Case(
        "disordered, not touched", Packing.DISORDERED, OperatorAction.NOT_FLIPPED, 0.0, "same side"
    ),
    Case(
        "disordered, another object",
        Packing.DISORDERED,
        OperatorAction.OTHER_ASSEMBLY,
        20.0,
        "neither",
    ),
    Case("ordered, another object", Packing.FCC, OperatorAction.OTHER_ASSEMBLY, 20.0, "neither"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scores_show_what_was_done_to_the_grid(case: Case) -> None:
    match = _match(case)
    scores = {"flipped": match.flipped.score, "same side": match.same_side.score}
    if case.expected == "neither":
        assert max(scores.values()) < 0.4
        return
    other = {"flipped": "same side", "same side": "flipped"}[case.expected]
    assert scores[case.expected] > 0.5
    assert scores[case.expected] - scores[other] > 0.15
    pose = match.better.pose
    error_deg = (pose.in_plane_deg - case.in_plane_deg + 180) % 360 - 180
    assert abs(error_deg) <= 1.0
    assert pose.scale == pytest.approx(1.0, abs=0.01)
    assert match.mass_ratio == pytest.approx(1.0, abs=0.03)


SMALL = [
    ("the same crystal", 4, True),
    ("another one of the same orientation, 4", 4, False),
    ("another one of the same orientation, 13", 13, False),
]


@pytest.mark.parametrize(("seed", "is_same"), [row[1:] for row in SMALL], ids=[r[0] for r in SMALL])
def test_small_crystals_of_the_same_orientation_are_not_taken_for_each_other(
    seed: int, is_same: bool
) -> None:
    """64 nm hold about 400 particles; two such crystals share their lattice."""
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    first, other = (lattice(64.0 / PIXEL_NM, turn, rng) for _ in range(2))
    a = tilt_series(first, TILTS_A, 5.25, 72, recording(len(TILTS_A), seed))
    flipped = (first if is_same else other) @ FLIP
    b = tilt_series(flipped, np.array(TILTS_B), 5.25, 72, recording(3, seed + 99))
    match = match_flip(TiltedViews(a.images, TILTS_A, PIXEL_NM), b.images, TILTS_B, PIXEL_NM)
    assert match.size_nm == pytest.approx(64.0, abs=4.0)
    assert match.flipped.score > 0.4
    assert (match.flipped.score > match.least_certain_score) is is_same


def recording(tilts: int, seed: int) -> Recording:
    return jittered(tilts, jitter_px=3.0, angle_error_deg=0.12, counts=300, seed=seed)


def lattice(diameter_px: float, turn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Build a sphere of an fcc crystal with an orientation, somewhere in its unit cell."""
    spacing, half = 7.7 / PIXEL_NM, 15
    i, j, k = np.mgrid[-half:half, -half:half, -half:half].reshape(3, -1)
    sites = np.stack([j + k, i + k, i + j], axis=1) * spacing / np.sqrt(2)
    points = (sites + rng.uniform(-spacing, spacing, 3)) @ turn.T
    points = points[np.linalg.norm(points, axis=1) < diameter_px / 2]
    return np.asarray(points + rng.normal(0, 0.015 * spacing, points.shape))


def test_a_shrunken_object_is_recognised_and_its_shrinkage_measured() -> None:
    a, b = _images(Case("", Packing.FCC, FLIPPED, 33.0, "flipped"))
    match = match_flip(TiltedViews(a, TILTS_A, PIXEL_NM), b, TILTS_B, 0.95 * PIXEL_NM)
    assert match.flipped.score > match.same_side.score + 0.15
    assert match.flipped.pose.scale == pytest.approx(0.95, abs=0.005)


def test_a_lost_quarter_of_the_object_shows_in_the_mass_ratio() -> None:
    a, b = _images(Case("", Packing.DISORDERED, FLIPPED, 33.0, "flipped"))
    background = np.median(b[:, 0])
    b[:, b.shape[1] // 2 + 12 :] = background
    match = match_flip(TiltedViews(a, TILTS_A, PIXEL_NM), b, TILTS_B, PIXEL_NM)
    assert match.mass_ratio < 0.9


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(np.full((80, 80), 7.0), "one value only", id="blank"),
        pytest.param(np.eye(12), "too small", id="tiny"),
        pytest.param(np.full((80, 80), np.nan), "one value only", id="not finite"),
    ],
)
def test_an_unusable_image_of_b_is_refused(image: np.ndarray, message: str) -> None:
    y, x = np.mgrid[:80, :80] - 39.5
    views = TiltedViews([np.hypot(y, x) < 20], [0.0], PIXEL_NM)
    with pytest.raises(ProcessingError, match=message):
        match_flip(views, [image], [0.0], PIXEL_NM)


def test_a_series_without_images_is_refused() -> None:
    with pytest.raises(ProcessingError, match="no usable image"):
        TiltedViews([], [], PIXEL_NM)


def _match(case: Case) -> FlipMatch:
    a, b = _images(case)
    return match_flip(TiltedViews(a, case.tilts_a, PIXEL_NM), b, case.tilts_b, PIXEL_NM)


def _images(case: Case) -> tuple[np.ndarray, np.ndarray]:
    settings = SimulatorSettings(
        seed=case.seed,
        specimen=SpecimenSettings(
            packing=case.packing, assembly_diameter_nm=75.0, other_assemblies_nm=((400.0, 0.0),)
        ),
        remount=RemountSettings(in_plane_deg=case.in_plane_deg),
    )
    scan = ScanSettings(width_px=100, height_px=100, pixel_nm=PIXEL_NM, dwell_us=10.0)
    series = simulate_dual(
        settings, scan, case.tilts_a, case.tilts_b, 70.0, action=case.action, tracking_error_nm=5.0
    )
    return series.a.counts.astype(np.float32), series.b.counts.astype(np.float32)
