"""Deformation of the specimen during a series: found where it is, followed, and not invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from processing.combine.pose import FLIP, Pose, fit_pose
from processing.fit.spheres import SphereFit, fit_spheres
from processing.pipeline.deformed import deformation_lines, deformations_of
from processing.results import Deformation
from processing.series import TiltSeries
from tests.support.spheres import jittered, packed, tilt_series

Array = NDArray[np.float64]

ANGLES = np.arange(-70.0, 71.0, 5.0)
DIAMETER, SIZE, RADIUS = 7.0, 76, 25
TRUTH = packed(RADIUS, 8.6, order="disordered", seed=4)
STEADY = np.linspace(0, 1, len(ANGLES))
"""Share of the deformation in each image."""
SHUFFLED = np.random.default_rng(5).permutation(STEADY)
"""The same for images that were not recorded in the order of their angles."""
MOVED_NM = 0.3


def rigid(points: Array, share: float) -> Array:
    """Return the points as they are."""
    return points


def shrinking(points: Array, share: float) -> Array:
    """Shrink evenly by 3 %."""
    return (1 - 0.03 * share) * points


def collapsing(points: Array, share: float) -> Array:
    """Lose 3 % of the height."""
    return points * [1, 1, 1 - 0.03 * share]


def leaning(points: Array, share: float) -> Array:
    """Move along the tilt axis by 4 % of the height."""
    return points + 0.04 * share * points[:, 2:] * [0, 1, 0]


def shrinking_at_one_side(points: Array, share: float) -> Array:
    """Shrink by 3 % at the surface at +x, and not at the opposite one."""
    squares = (points**2).sum(axis=1, keepdims=True)
    bend = (points[:, :1] * points - squares / 2 * [1, 0, 0]) / (2 * RADIUS)
    return points - share * (0.015 * points + 0.03 * bend)


Deform = Callable[[Array, float], Array]


def recorded(
    deform: Deform, shares: Array, *, pose: Pose | None = None, shear: float = 0.0
) -> TiltSeries:
    """Record one image at each angle, of a specimen with this share [tilt] of its deformation."""
    seed = 1 if pose is None else 2
    errors = jittered(len(ANGLES), jitter_px=0.2, angle_error_deg=0.15, counts=None, seed=seed)
    images = []
    for tilt, (angle, share) in enumerate(zip(ANGLES, shares, strict=True)):
        points = deform(TRUTH, float(share))
        if pose is not None:
            points = pose.inverse().apply(points)
        t = np.deg2rad(angle)
        seen = np.array([np.cos(t), 0.0, np.sin(t)])  # a shear of the scan moves along the image
        points = points + shear * points[:, 1:2] * seen
        one = replace(
            errors,
            shifts_px=errors.shifts_px[[tilt]],
            angle_errors_deg=errors.angle_errors_deg[[tilt]],
        )
        images.append(tilt_series(points, ANGLES[[tilt]], DIAMETER, SIZE, one).images[0])
    stack = np.stack(images)
    counts = 600 / stack.max()
    noisy = np.random.default_rng(seed).poisson(stack * counts) / counts
    return TiltSeries(noisy.astype(np.float32), ANGLES, 1.0, name="A" if pose is None else "B")


def fitted(series: list[tuple[TiltSeries, Pose | None]]) -> SphereFit:
    start = TRUTH + np.random.default_rng(3).normal(0, MOVED_NM, TRUTH.shape)
    return fit_spheres(series, start, np.ones(len(TRUTH)), DIAMETER)


def rms_nm(found: Array, truth: Array) -> Array:
    """Return the rms error along x, y and z after a rotation and a shift."""
    return np.asarray(np.sqrt(((fit_pose(truth, found).apply(found) - truth) ** 2).mean(axis=0)))


@dataclass(frozen=True)
class Case:
    name: str
    deform: Deform
    strain: tuple[float, float, float]
    lean_yz: float = 0.0
    shares: Array = field(default_factory=lambda: STEADY)
    uneven_x: float = 0.0


DEFORMED = [
    Case("even", shrinking, (-0.03, -0.03, -0.03)),
    Case("along the beam", collapsing, (0.0, 0.0, -0.03)),
    Case("lean", leaning, (0.0, 0.0, 0.0), lean_yz=0.04, shares=SHUFFLED),
    Case("one side", shrinking_at_one_side, (-0.015, -0.015, -0.015), uneven_x=-0.03),
]


@pytest.mark.parametrize("case", DEFORMED, ids=lambda case: case.name)
def test_a_deformation_is_found_and_followed(case: Case) -> None:
    series = replace(recorded(case.deform, case.shares), recorded_at=case.shares)
    fit = fitted([(series, None)])
    found = deformations_of(fit, ["A"])["A"]
    assert found.strain == pytest.approx(case.strain, abs=0.004)
    assert found.lean[2] == pytest.approx(case.lean_yz, abs=0.004)
    assert found.uneven[0] == pytest.approx(case.uneven_x, abs=0.008)
    assert rms_nm(fit.centres_nm, case.deform(TRUTH, 0.5)).max() < 0.12


@pytest.mark.parametrize("shear", [0.0, 0.01], ids=["rigid", "sheared scan"])
def test_a_rigid_specimen_is_not_deformed(shear: float) -> None:
    fit = fitted([(recorded(rigid, STEADY, shear=shear), None)])
    assert deformations_of(fit, ["A"]) == {}


def test_b_has_a_state_of_its_own() -> None:
    """The specimen collapses during A; B shows it collapsed."""
    turn = Rotation.from_euler("zx", [37, 1.5], degrees=True).as_matrix() @ FLIP
    pose = Pose(turn.T, np.array([1.5, -0.8, 0.6]))
    a = recorded(collapsing, STEADY)
    b = recorded(collapsing, np.ones(len(ANGLES)), pose=pose)
    fit = fitted([(a, None), (b, pose)])
    found = deformations_of(fit, ["A", "B"])
    assert list(found) == ["A"]
    assert found["A"].strain == pytest.approx((0, 0, -0.03), abs=0.004)
    assert rms_nm(fit.centres_nm, collapsing(TRUTH, 0.5)).max() < 0.12


def test_time_is_that_of_recording_and_not_the_place_in_the_file() -> None:
    """Images sorted by angle, recorded in another order."""
    series = replace(recorded(shrinking, SHUFFLED), recorded_at=7 + 2 * SHUFFLED)
    found = deformations_of(fitted([(series, None)]), ["A"])["A"]
    assert found.strain == pytest.approx((-0.03, -0.03, -0.03), abs=0.004)


LINES = [
    ("even", {"strain": (-0.03, -0.029, -0.031)}, "shrank by 3.0%, evenly"),
    ("height", {"strain": (0.001, 0.0, -0.029)}, "shrank by 2.9%, mostly along z"),
    ("growth", {"strain": (0.02, 0.005, 0.001)}, "grew by 2.0%, mostly along x"),
    ("lean", {"lean": (0.0, 0.035, 0.0)}, "the angle between x and z changed by 2.0 degrees"),
    ("side", {"uneven": (-0.02, 0.0, 0.0)}, "shrank by 2.0% more at +x than at the"),
    (
        "other side",
        {"uneven": (0.0, 0.02, 0.0)},
        "shrank by 2.0% more at -y than",
    ),
    ("uncertain", {"strain": (0.01, 0.01, 0.01), "strain_se": (0.004,) * 3}, "changed its shape"),
    ("little", {}, "changed its shape slightly; particles moved by up to 0.40 nm"),
]


@pytest.mark.parametrize(
    ("figures", "words"), [line[1:] for line in LINES], ids=[line[0] for line in LINES]
)
def test_the_line_says_what_has_happened(
    figures: dict[str, tuple[float, float, float]], words: str
) -> None:
    none = (0.0, 0.0, 0.0)
    values = {"strain": none, "lean": none, "uneven": none}
    facts = {**values, **{f"{name}_se": none for name in values}, **figures}
    deformation = Deformation(**facts, moved_nm=0.4, steady=True)  # type: ignore[arg-type]
    (line,) = deformation_lines({"A": deformation})
    assert line.startswith("series A: while it was recorded, the assembly ") and words in line
