"""Rods and polyhedra: thickness, overlaps, packings, and their images."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from controller.model.scan import ScanSettings
from simulator.optics import render
from simulator.settings import Arrangement, OpticsSettings, Shape, SpecimenSettings
from simulator.solids import Solid, overlapping_pairs, thickness_nm
from simulator.specimen import Particles, make_assembly

SOLIDS = {
    Shape.ROD: Solid(Shape.ROD, 6.0, 20.0),
    Shape.CUBE: Solid(Shape.CUBE, 8.0, 8.0),
    Shape.OCTAHEDRON: Solid(Shape.OCTAHEDRON, 9.0, 9.0),
    Shape.TETRAHEDRON: Solid(Shape.TETRAHEDRON, 10.0, 10.0),
}
STEP_NM = 0.1


@pytest.mark.parametrize("solid", SOLIDS.values(), ids=SOLIDS)
def test_the_thickness_seen_from_any_side_adds_up_to_the_volume(solid: Solid) -> None:
    axis = np.arange(-12.0, 12.0, STEP_NM)
    points_nm = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    sides = [np.eye(3), *Rotation.random(3, random_state=1).as_matrix()]
    sides.append(Rotation.from_euler("y", 90, degrees=True).as_matrix())
    volumes = thickness_nm(solid, np.array(sides), points_nm).sum(axis=1) * STEP_NM**2
    assert volumes == pytest.approx(np.full(len(sides), solid.volume_nm3), rel=5e-3)


@pytest.mark.parametrize("solid", SOLIDS.values(), ids=SOLIDS)
def test_overlaps_are_those_of_the_volumes(solid: Solid) -> None:
    rng = np.random.default_rng(2)
    centres = rng.uniform(-1.3, 1.3, (40, 3)) * solid.radius_nm * 1.5
    turns = Rotation.random(40, random_state=3).as_matrix()
    found = {tuple(sorted(pair)) for pair in overlapping_pairs(solid, centres, turns)}
    inside_points = rng.uniform(-1, 1, (6000, 3)) * solid.radius_nm
    inside_points = inside_points[_inside(solid, inside_points)]
    for first in range(12):
        placed = inside_points @ turns[first].T + centres[first]
        for other in range(first + 1, 12):
            shared = _inside(solid, (placed - centres[other]) @ turns[other]).any()
            if shared:  # a slight overlap may hold none of the points
                assert (first, other) in found
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    assert all(distances[pair] < 2 * solid.radius_nm for pair in found)
    assert 0 < len(found) < 40 * 39 / 2


def _inside(solid: Solid, points_nm: np.ndarray) -> np.ndarray:
    if solid.shape is Shape.ROD:
        along = np.clip(points_nm[:, 2], -solid.half_axis_nm, solid.half_axis_nm)
        off = points_nm - along[:, None] * [0.0, 0.0, 1.0]
        return (off**2).sum(axis=1) < (solid.width_nm / 2) ** 2
    normals, heights = solid.faces
    return (points_nm @ normals.T < heights).all(axis=1)


@pytest.mark.parametrize("arrangement", Arrangement)
@pytest.mark.parametrize("shape", SOLIDS)
def test_packed_solids_do_not_overlap(shape: Shape, arrangement: Arrangement) -> None:
    solid = SOLIDS[shape]
    settings = SpecimenSettings(
        shape=shape,
        arrangement=arrangement,
        particle_diameter_nm=solid.width_nm,
        rod_length_nm=20.0,
        assembly_diameter_nm=50.0,
    )
    particles = make_assembly(settings, seed=5)
    assert particles.quaternions is not None and particles.solid == solid
    turns = Rotation.from_quat(particles.quaternions)
    assert len(overlapping_pairs(solid, particles.centres_nm, turns.as_matrix())) == 0
    assert len(particles) >= 15
    spread_deg = np.rad2deg((turns[0].inv() * turns).magnitude()).max()
    assert (spread_deg < 8) == (arrangement is Arrangement.ORDERED)


def test_the_image_of_a_solid_is_its_shadow() -> None:
    scan = ScanSettings(width_px=48, height_px=48, pixel_nm=0.5, dwell_us=5.0)
    along_u = Rotation.from_euler("y", 90, degrees=True).as_quat()[None]
    rod = Particles(np.zeros((1, 3)), np.array([6.0]), along_u, SOLIDS[Shape.ROD])
    image = render(rod, scan, OpticsSettings())
    bright = image > 0.3 * image.max()
    assert bright.any(axis=0).sum() * scan.pixel_nm == pytest.approx(20.0, abs=1.5)
    assert bright.any(axis=1).sum() * scan.pixel_nm == pytest.approx(6.0, abs=1.0)
    ball = Particles(np.zeros((1, 3)), np.array([9.9]))
    ratio = float(render(ball, scan, OpticsSettings()).sum() / image.sum())
    assert ratio == pytest.approx(np.pi / 6 * 9.9**3 / SOLIDS[Shape.ROD].volume_nm3, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"shape": "rod", "rod_length_nm": 5.0}, "rod_length_nm"),
        ({"shape": "cube", "small_share": 0.3}, "small_share"),
    ],
)
def test_impossible_specimens_are_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        SpecimenSettings.model_validate(changes)
