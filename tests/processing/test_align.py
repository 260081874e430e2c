"""Alignment recovers the shifts and the tilt axis of a recording and rejects its bad images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from processing.align.alignment import Alignment, apply_alignment, unaligned
from processing.align.series import align_series
from processing.images.isolate import isolate_object
from processing.series import TiltSeries
from tests.support.spheres import Recording, jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 4.0)
DIAMETER, SIZE = 7.0, 80


def residual_px(found: Alignment, truth: Recording, angles_deg: np.ndarray) -> tuple[float, float]:
    """Return the rms error along and across the axis, without a shift of the whole object."""
    error = found.shifts_px - truth.shifts_px
    axis = np.deg2rad(truth.tilt_axis_deg)
    along = error[:, 0] * np.cos(axis) - error[:, 1] * np.sin(axis)
    across = error[:, 0] * np.sin(axis) + error[:, 1] * np.cos(axis)
    t = np.deg2rad(angles_deg)
    free = np.stack([np.cos(t), np.sin(t)], axis=1)
    across = across - free @ np.linalg.lstsq(free, across, rcond=None)[0]
    return float(along.std()), float(np.sqrt(np.mean(across**2)))


@dataclass(frozen=True)
class Case:
    name: str
    order: str = "disordered"
    counts: float | None = 1000
    axis_deg: float = 0.0
    jitter_px: float = 3.0
    size_px: int = SIZE


CASES = [
    Case("disordered"),
    Case("fcc", order="fcc"),
    Case("few counts", counts=200),
    Case("tilt axis at +3 degrees", axis_deg=3.0),
    Case("tilt axis at -4.5 degrees", order="fcc", axis_deg=-4.5),
    Case("already aligned", jitter_px=0.0),
    Case("cut by the frame in a quarter of the images", jitter_px=4.0, size_px=70),
]


def recorded(case: Case) -> tuple[TiltSeries, Recording, np.ndarray]:
    centres = packed(26, 8.6, order=case.order, seed=4)
    truth = replace(
        jittered(
            len(ANGLES),
            jitter_px=case.jitter_px,
            angle_error_deg=0.15,
            counts=case.counts,
            seed=9,
        ),
        tilt_axis_deg=case.axis_deg,
    )
    return tilt_series(centres, ANGLES, DIAMETER, case.size_px, truth), truth, centres


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shifts_and_tilt_axis_are_recovered(case: Case) -> None:
    series, truth, _ = recorded(case)
    found = align_series(series)
    along, across = residual_px(found, truth, ANGLES)
    assert along < 0.1
    assert across < 0.1
    assert found.tilt_axis_deg == pytest.approx(case.axis_deg, abs=0.4)
    assert not found.rejected.any()


def test_the_edge_of_a_film_under_the_object_does_not_displace_it() -> None:
    """Film is removed where it is seen; what is left under the object is not known."""
    size_px, height_px, edge_px = 96, -24.0, 4.0
    truth = jittered(len(ANGLES), jitter_px=2.0, angle_error_deg=0.0, counts=2000, seed=9)
    centres = packed(30, 8.6, order="fcc", seed=4)
    series = tilt_series(centres, ANGLES, DIAMETER, size_px, truth)
    level = 0.05 * np.percentile(series.images, 99)
    t = np.deg2rad(ANGLES)[:, None]
    u = np.arange(size_px) - (size_px - 1) / 2 - truth.shifts_px[:, 1:]
    film_x = (u - height_px * np.sin(t)) / np.cos(t)
    film = level / np.cos(t) * (film_x > edge_px)
    filmed = replace(series, images=series.images + film[:, None, :].astype(np.float32))
    found = align_series(isolate_object(filmed).series)
    assert max(residual_px(found, truth, ANGLES)) < 0.1
    assert not found.rejected.any()


def test_an_image_of_another_object_is_rejected_and_does_not_affect_the_others() -> None:
    series, truth, _ = recorded(CASES[0])
    images = series.images.copy()
    other = packed(20, 9.5, order="fcc", seed=77)
    images[20] = tilt_series(other, np.array([35.0]), DIAMETER, SIZE).images[0]
    images[20] *= images[19].max() / images[20].max()
    images[8] = np.nan
    found = align_series(replace(series, images=images))
    assert list(np.flatnonzero(found.rejected)) == [8, 20]
    kept = ~found.rejected
    part = replace(found, shifts_px=found.shifts_px[kept])
    along, across = residual_px(part, replace(truth, shifts_px=truth.shifts_px[kept]), ANGLES[kept])
    assert max(along, across) < 0.1


@pytest.mark.parametrize("axis_deg", [0.0, 3.0], ids=["axis along y", "axis turned"])
def test_apply_alignment_moves_a_point_to_its_projected_position(axis_deg: float) -> None:
    point = np.array([[9.0, -6.0, 4.0]])
    truth = replace(
        jittered(len(ANGLES), jitter_px=2.0, angle_error_deg=0.0, counts=None, seed=2),
        tilt_axis_deg=axis_deg,
    )
    series = tilt_series(point, ANGLES, DIAMETER, 64, truth)
    known = replace(unaligned(series), shifts_px=truth.shifts_px, tilt_axis_deg=axis_deg)
    images = apply_alignment(series, known).images
    grid = np.arange(64) - 31.5
    mass = images.sum(axis=(1, 2))
    t = np.deg2rad(ANGLES)
    np.testing.assert_allclose(
        images.sum(axis=1) @ grid / mass, 9 * np.cos(t) + 4 * np.sin(t), atol=0.05
    )
    np.testing.assert_allclose(images.sum(axis=2) @ grid / mass, -6, atol=0.05)
