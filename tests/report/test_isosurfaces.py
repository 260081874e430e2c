"""Isosurfaces and exit surfaces of the report's views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from controller.report.views.isosurfaces import as_bytes, coarse_volume, exit_surface
from controller.report.volumes import IDENTITY, Pose, Volume
from tests.report.particle_folders import ball

MIDDLE_NM = np.array([6.0, -3.0, 9.0])
TURNED = Pose(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]), np.array([4.0, -6.0, 2.0]), 1.01)


@pytest.mark.parametrize(
    ("side", "pixel_nm", "finest_nm", "pose"),
    [
        pytest.param(60, 1.0, 1.0, IDENTITY, id="as it is"),
        pytest.param(60, 1.0, 1.7, IDENTITY, id="averaged"),
        pytest.param(60, 1.0, 1.7, TURNED, id="in the coordinates of B"),
        pytest.param(240, 0.25, 0.0, IDENTITY, id="more planes than are read"),
    ],
)
def test_an_isosurface_is_at_its_place(
    tmp_path: Path, side: int, pixel_nm: float, finest_nm: float, pose: Pose
) -> None:
    volume = Volume(ball(tmp_path, side, pixel_nm, MIDDLE_NM), pose)
    in_a = pose.scale * pose.matrix @ MIDDLE_NM + pose.shift_nm
    coarse = coarse_volume(volume, in_a, 24.0, finest_nm)
    shape = np.array(coarse.values.shape)
    assert shape.max() <= 112
    unit = np.argwhere(coarse.values > 0.5)[:, ::-1] / (shape[::-1] - 1) - 0.5
    places = unit @ coarse.matrix[:3, :3].T + coarse.matrix[:3, 3]
    np.testing.assert_allclose(places.mean(axis=0), in_a, atol=0.1 * coarse.step_nm)
    reach = np.linalg.norm(places - in_a, axis=1).max()
    assert reach == pytest.approx(20 * pose.scale, abs=coarse.step_nm)
    filled_nm3 = coarse.values.sum() * (coarse.step_nm * pose.scale) ** 3
    assert filled_nm3 == pytest.approx(4 / 3 * np.pi * (20 * pose.scale) ** 3, rel=0.03)


@pytest.mark.parametrize(
    ("pose", "side", "down"),
    [
        pytest.param(IDENTITY, -1, -1, id="A, below"),
        pytest.param(IDENTITY, 1, 1, id="B registered, above"),
        pytest.param(TURNED, -1, 1, id="B in its own coordinates, above"),
    ],
)
def test_the_exit_surface_lies_outside_on_the_exit_side(
    tmp_path: Path, pose: Pose, side: int, down: int
) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.zeros(3)), pose)
    surface = exit_surface(coarse_volume(volume, pose.shift_nm, 29.0, 1.5), 6.0, side)
    assert surface is not None
    place = surface.corners_nm - pose.shift_nm
    distance = np.linalg.norm(place, axis=1)
    middle = np.hypot(place[:, 0], place[:, 1]) < 10
    assert (down * place[middle, 2] > 15).all()
    np.testing.assert_allclose(distance[middle], 20 + 3, atol=3)
    assert surface.triangles.max() == len(surface.corners_nm) - 1


def test_the_brightest_voxels_stay_the_brightest() -> None:
    values = np.linspace(-0.2, 1.3, 1000, dtype=np.float32).reshape(10, 10, 10)
    stored = as_bytes(values).ravel()
    assert (np.diff(stored.astype(int)) >= 0).all() and (stored[0], stored[-1]) == (0, 252)


def test_an_assembly_cut_off_by_the_volume_has_no_exit_surface(tmp_path: Path) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.array([0.0, 0.0, 25.0])))
    assert exit_surface(coarse_volume(volume, np.zeros(3), 29.0, 1.5), 6.0, 1) is None
