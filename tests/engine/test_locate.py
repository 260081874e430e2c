"""The object is located as a whole, at any place in its frame, whatever its particles look like."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.procedures.tracking.locate import locate_object

FRAME_PX = 56
RADIUS_PX = 18.0
PARTICLE_PX = 6.0
"""Diameter of a particle: an assembly of six particles across."""


def crystal(
    middle: tuple[float, float], spacing_px: tuple[float, float], turn_deg: float, seed: int = 1
) -> NDArray[np.float64]:
    """Return the image [y, x] of columns of spheres in a sphere.

    Parameters
    ----------
    middle
        Centre of the assembly (y, x), from that of the frame.
    spacing_px
        Distance of the columns across and along the lattice planes.
    turn_deg
        Direction of the planes.
    """
    axis = np.arange(FRAME_PX) - (FRAME_PX - 1) / 2
    y, x = np.meshgrid(axis - middle[0], axis - middle[1], indexing="ij")
    turn = np.radians(turn_deg)
    image = np.zeros((FRAME_PX, FRAME_PX))
    for i in range(-8, 9):
        for j in range(-8, 9):
            across, along = i * spacing_px[0], (j + i % 2 / 2) * spacing_px[1]
            length = RADIUS_PX**2 - across**2 - along**2
            if length <= 0:
                continue
            u = across * np.cos(turn) - along * np.sin(turn)
            v = across * np.sin(turn) + along * np.cos(turn)
            inside = np.maximum(0.0, 1 - ((x - u) ** 2 + (y - v) ** 2) * 4 / PARTICLE_PX**2)
            image += np.sqrt(length * inside)
    return np.random.default_rng(seed).poisson(40.0 + 20.0 * image).astype(np.float64)


@pytest.mark.parametrize("turn_deg", [0.0, 25.0, 90.0])
@pytest.mark.parametrize("middle", [(0.0, 0.0), (0.0, 9.0), (-7.0, 7.0)])
@pytest.mark.parametrize(
    "spacing_px",
    [
        pytest.param((8.0, 3.0), id="planes on edge"),
        pytest.param((6.4, 7.4), id="columns end on"),
        pytest.param((3.0, 3.0), id="no gaps"),
    ],
)
def test_the_whole_assembly_is_located(
    spacing_px: tuple[float, float], middle: tuple[float, float], turn_deg: float
) -> None:
    located = locate_object(crystal(middle, spacing_px, turn_deg))
    assert located is not None
    assert np.hypot(*(np.array(located.offset_px) - middle)) < 2.0
    assert 1.5 * RADIUS_PX < located.size_px < 2.1 * RADIUS_PX


@pytest.mark.parametrize("gap_px", [6.0, 12.0])
def test_a_neighbour_is_another_object(gap_px: float) -> None:
    y, x = np.indices((FRAME_PX, FRAME_PX)) - (FRAME_PX - 1) / 2
    away_px = 2 * 10.0 + gap_px
    discs = np.hypot(y, x + 6) < 10.0, np.hypot(y, x + 6 - away_px) < 10.0
    located = locate_object(np.random.default_rng(2).poisson(40.0 + 400.0 * sum(discs)))
    assert located is not None
    assert np.hypot(*(np.array(located.offset_px) - (0.0, -6.0))) < 1.0


@pytest.mark.parametrize(("field", "joined"), [(1, True), (4, False)])
def test_gaps_are_those_of_a_frame(field: int, joined: bool) -> None:
    y, x = np.indices((FRAME_PX, FRAME_PX)) - (FRAME_PX - 1) / 2
    halves = (np.hypot(y, x) < 12.0) & (np.abs(x) > 1.6)
    located = locate_object(40.0 + 400.0 * halves, field)
    assert located is not None
    assert (abs(located.offset_px[1]) < 0.5) is joined


@pytest.mark.parametrize("electrons", [0.003, 0.03, 0.3, 3.0, 30.0])
@pytest.mark.parametrize("side_px", [48, 56, 95, 200])
def test_noise_is_no_object(side_px: int, electrons: float) -> None:
    rng = np.random.default_rng(4)
    shots = rng.poisson(electrons, (6, side_px, side_px))
    assert [locate_object(shot) for shot in shots] == [None] * 6


@pytest.mark.parametrize("spacing_px", [(8.0, 3.0), (6.4, 7.4), (3.0, 3.0)])
@pytest.mark.parametrize("electrons", [0.2, 2.0])
def test_an_object_of_few_counts_is_located(
    spacing_px: tuple[float, float], electrons: float
) -> None:
    image = crystal((0.0, 5.0), spacing_px, 25.0)
    shot = np.random.default_rng(6).poisson(electrons / image.mean() * image)
    located = locate_object(shot)
    assert located is not None
    assert np.hypot(*(np.array(located.offset_px) - (0.0, 5.0))) < 4.0
