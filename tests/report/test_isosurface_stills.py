"""Still pictures of the isosurfaces: the ball is round, lit, and its exit surface is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from controller.report.views import isosurface_stills
from controller.report.views.assembly import Assembly
from controller.report.views.isosurface_stills import draw_exit, draw_isosurface, first_hits, shaded
from controller.report.views.isosurfaces import coarse_volume, exit_surface
from controller.report.volumes import IDENTITY, Pose, Volume
from tests.report.particle_folders import ball

SIDE = 120
MIDDLE_NM = np.array([6.0, -3.0, 9.0])
TURNED = Pose(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]), np.array([4.0, -6.0, 2.0]), 1.01)
RADIUS_NM, REACH_NM = 20.0, 29.0


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rays cost less time."""
    monkeypatch.setattr(isosurface_stills, "SIDE_PX", SIDE)


def about(middle_nm: np.ndarray) -> Assembly:
    return Assembly({}, {}, middle_nm, 6.0, REACH_NM)


def from_middle() -> np.ndarray:
    """Return the distance of each pixel from the middle of the picture, nm."""
    along = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH_NM
    return np.hypot(*np.meshgrid(along, along))


@pytest.mark.parametrize("pose", [IDENTITY, TURNED], ids=["A", "in the coordinates of B"])
def test_rays_meet_the_ball_on_its_near_side(tmp_path: Path, pose: Pose) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, MIDDLE_NM), pose)
    in_a = pose.scale * pose.matrix @ MIDDLE_NM + pose.shift_nm
    hits = first_hits(coarse_volume(volume, in_a, REACH_NM, 1.0), 126, about(in_a))
    radius_nm, distance = pose.scale * RADIUS_NM, from_middle()
    assert np.isfinite(hits.depth_nm[distance < radius_nm - 1]).all()
    assert np.isnan(hits.depth_nm[distance > radius_nm + 1]).all()
    inner = distance < 0.8 * radius_nm
    expected = np.sqrt(radius_nm**2 - distance[inner] ** 2)
    np.testing.assert_allclose(hits.depth_nm[inner], expected, atol=1.5)
    outwards = hits.normals[inner, 2]
    assert np.abs(outwards - expected / radius_nm).mean() < 0.1


def test_a_ball_is_brighter_towards_the_light_and_clear_around(tmp_path: Path) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.zeros(3)))
    coarse = coarse_volume(volume, np.zeros(3), REACH_NM, 1.5)
    picture = shaded(first_hits(coarse, 126, about(np.zeros(3))))
    assert picture.min() >= 0 and picture.max() <= 1
    assert (picture[from_middle() > RADIUS_NM + 1.5, 3] == 0).all()
    part, half = SIDE // 6, SIDE // 2
    upper_left, lower_right = picture[half + part, half - part], picture[half - part, half + part]
    assert upper_left[0] > 1.3 * lower_right[0]


def test_a_volume_below_the_level_is_an_empty_picture(tmp_path: Path) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.zeros(3)))
    coarse = coarse_volume(volume, np.zeros(3), REACH_NM, 1.5)
    assert not shaded(first_hits(coarse, 300, about(np.zeros(3))))[..., 3].any()


@pytest.mark.parametrize("side", [-1, 1], ids=["A, below", "B, above"])
def test_orange_covers_the_side_where_the_beam_leaves(tmp_path: Path, side: int) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.zeros(3)))
    assembly = about(np.zeros(3))
    coarse = coarse_volume(volume, np.zeros(3), REACH_NM, 1.5)
    surface = exit_surface(coarse, 6.0, side)
    assert surface is not None
    page = Figure(figsize=(2, 2), dpi=100)
    axis = page.add_axes((0, 0, 1, 1))
    hits = first_hits(coarse, 126, assembly)
    draw_isosurface(axis, hits, assembly)
    draw_exit(axis, surface, hits, assembly, side)
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba()).astype(int)
    orange = picture[..., 0] > picture[..., 2] + 40
    above, below = orange[60:100].sum(), orange[100:140].sum()
    assert (below > 5 * above) if side < 0 else (above > 2 * below)
    arrow = orange[:20] if side < 0 else orange[180:]
    assert arrow.any()
