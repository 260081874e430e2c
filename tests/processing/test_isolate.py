"""Removal of all that lies beside the object; an object alone stays bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from processing.errors import ProcessingError
from processing.images.isolate import isolate_object
from processing.series import TiltSeries
from tests.support.spheres import packed, tilt_series
from tests.wrong_inputs.kinds import KINDS

ANGLES = np.arange(-60.0, 61.0, 10.0)
SIZE = 72
DIAMETER = 5.0
Images = NDArray[np.float32]


def assembly(radius: float = 17.0) -> NDArray[np.float64]:
    return packed(radius, 1.15 * DIAMETER, order="fcc", seed=3)


def recorded(*objects: NDArray[np.float64], angles: NDArray[np.float64] = ANGLES) -> TiltSeries:
    """Series of the spheres with read noise; the brightest pixel of an assembly has about 1000."""
    series = tilt_series(np.concatenate(objects), angles, DIAMETER, SIZE)
    noise = np.random.default_rng(1).normal(100, 5, series.images.shape)
    return replace(series, images=(50 * series.images + noise).astype(np.float32))


def scattered(number: int) -> NDArray[np.float64]:
    """Particles that lie apart, as in a sparse specimen."""
    rng = np.random.default_rng(number)
    grid = np.stack(np.meshgrid(*[np.arange(-24, 25, 12.0)] * 2, [0.0]), -1).reshape(-1, 3)
    return np.asarray(rng.permutation(grid)[:number] + rng.uniform(-2, 2, (number, 3)))


ALONE: dict[str, Callable[[], TiltSeries]] = {
    "an assembly": lambda: recorded(assembly()),
    "a small one": lambda: recorded(assembly(8.0)),
    "an assembly larger than the field": lambda: recorded(assembly(34.0)),
    "six particles apart": lambda: recorded(scattered(6)),
    "a pair and a single particle": lambda: recorded(
        np.array([[-10.0, 0, 0], [-4.5, 0, 0], [16, 5, 0]])
    ),
    "21 particles apart": lambda: recorded(scattered(21)),
    "noise": lambda: recorded(np.zeros((0, 3))),
}


@pytest.mark.parametrize("name", ALONE)
def test_an_object_alone_stays_bit_for_bit(name: str) -> None:
    series = ALONE[name]()
    assert isolate_object(series).series is series


def with_film(images: Images) -> None:
    """A film of a tenth of the assembly's brightness, with an edge, thicker at high tilt."""
    for image, angle in zip(images, ANGLES, strict=True):
        image[:, 44:] += 80 / np.cos(np.deg2rad(angle))


def with_gradient(images: Images) -> None:
    images += np.linspace(0, 150, SIZE)


def with_growing_haze(images: Images) -> None:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    images += np.linspace(0, 200, len(images))[:, None, None] * np.exp(-(y**2 + x**2) / 1500)


@pytest.mark.parametrize("spoil", [with_film, with_gradient, with_growing_haze])
def test_an_uneven_background_is_removed(spoil: Callable[[Images], None]) -> None:
    sound = recorded(assembly())
    images = sound.images.copy()
    spoil(images)
    found = isolate_object(replace(sound, images=images)).series
    error = found.images - (sound.images - 100)
    assert np.sqrt(np.mean(error**2)) < 20
    assert found.images[:, 0].max() == found.images[:, :, -1].max() == 0
    assert "uneven background" in found.notes[0]
    assert found.doubts == ()


def test_loose_particles_are_removed_and_counted() -> None:
    turn = np.arange(5) * 1.3
    loose = np.stack([30 * np.cos(turn), 30 * np.sin(turn), np.zeros(5)], axis=1)
    small_assembly = assembly(11.0)
    sound, both = recorded(small_assembly), recorded(small_assembly, loose)
    found = isolate_object(both).series
    level = np.abs(found.images[len(ANGLES) // 2] - (sound.images[len(ANGLES) // 2] - 100))
    assert level.max() < 60
    assert "5 small objects beside the one" in found.notes[-1]


@pytest.mark.parametrize("place", [(0.0, 36.0, 0.0), (2.0, -37.0, 4.0)])
def test_a_neighbour_cut_along_the_axis_is_masked_and_named(place: tuple[float, ...]) -> None:
    sound = recorded(assembly(13.0))
    found = isolate_object(recorded(assembly(13.0), assembly(13.0) + place)).series
    error = ndimage.gaussian_filter(found.images - (sound.images - 100), (0, 1.5, 1.5))
    assert np.abs(error).max() < 120
    assert "13 images show another object" in found.notes[-1]
    assert found.doubts == ()


def test_a_neighbour_that_overlaps_at_high_tilt_makes_the_count_doubtful() -> None:
    sound = recorded(assembly(13.0))
    found = isolate_object(
        recorded(assembly(13.0), assembly(13.0) + np.array([35.0, 2.0, 0.0]))
    ).series
    middle = len(ANGLES) // 2
    assert np.abs(found.images[middle] - (sound.images[middle] - 100)).max() < 250
    assert "overlaps the one that is counted" in found.doubts[0]


@pytest.mark.parametrize("name", ["finer pixel", "two sizes, every third large"])
def test_particles_that_stand_apart_in_the_images_are_one_object(name: str) -> None:
    series = next(kind for kind in KINDS if kind.name == name).make().series[0]
    assert isolate_object(series).series is series


def test_the_operator_names_another_object() -> None:
    left, right = assembly(9.0) - np.array([20.0, 0, 0]), assembly(9.0) + np.array([20.0, 0, 0])
    both = recorded(left, right, angles=np.arange(-20.0, 21.0, 5.0))
    assert isolate_object(both).series is both
    found = isolate_object(replace(both, region_px=(55.0, 35.5, 12.0))).series
    columns = found.images.clip(0).sum(axis=(0, 1))
    assert columns[:30].sum() == 0
    assert columns[40:].sum() > 1e5


def test_a_region_without_an_object_is_refused() -> None:
    with pytest.raises(ProcessingError, match=r"no object in the region \(5, 5, 3\)"):
        isolate_object(replace(recorded(assembly(9.0)), region_px=(5, 5, 3)))
