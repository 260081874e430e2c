"""Wrong pixels, lines and contrast: repaired and counted; what is right stays bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.images.prepare import prepare_series
from processing.images.repair_pixels import Repairs, repair_image, repair_pixels
from processing.series import TiltSeries
from tests.support.spheres import packed, tilt_series

ANGLES = np.arange(-60.0, 61.0, 10.0)
SIZE = 64
Images = NDArray[np.float32]


def spheres(diameter: float, counts: float, radius: float = 18.0) -> Images:
    """Images of a packed assembly with `counts` in the brightest pixel; 0 for images without noise.

    A hundred counts of dark level with read noise are added to the images of many counts.
    """
    centres = packed(radius, 1.2 * diameter, order="fcc", seed=3)
    images = tilt_series(centres, ANGLES, diameter, SIZE).images
    if not counts:
        return images
    rng = np.random.default_rng(4)
    images = rng.poisson(images / images.max() * counts + counts / 20).astype(np.float32)
    if counts < 50:
        return images
    return (images + 100 + rng.normal(0, 3, images.shape)).astype(np.float32)


def few_spheres() -> Images:
    centres = np.array([[0, 0, 0], [10, 5, 0], [-8, -15, 3], [5.3, 12, 9]], float)
    return tilt_series(centres, ANGLES, 3.0, SIZE).images


def atoms() -> Images:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE]
    places = rng.uniform(0, SIZE, (60, 2))
    sum_of_atoms = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2.9) for a, b in places)
    return rng.poisson(np.broadcast_to(sum_of_atoms, (13, SIZE, SIZE)) * 30 + 5).astype(np.float32)


def crystal() -> Images:
    """Images of two kinds of atoms on a cubic lattice, whose planes lie along the columns."""
    steps = 5.7 * np.arange(-4, 5)
    x, y, z = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3).T
    inside = np.hypot(np.hypot(x, y), z) < 26
    x, y, z = x[inside], y[inside], z[inside]
    weights = np.random.default_rng(7).choice([26, 78], len(x))
    pixels = np.arange(SIZE) - (SIZE - 1) / 2

    def profiles(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-((places[:, None] - pixels) ** 2) / 2)

    tilts = np.radians(ANGLES)[:, None]
    rows = [profiles(row) for row in y * np.cos(tilts) + z * np.sin(tilts)]
    return np.array([(weights * row.T) @ profiles(x) for row in rows], np.float32)


SOUND: dict[str, Callable[[], Images]] = {
    "spheres of 3 px": lambda: spheres(3.0, 0),
    "spheres of 3 px, 3 counts": lambda: spheres(3.0, 3),
    "spheres of 3 px, 1000 counts": lambda: spheres(3.0, 1000),
    "spheres of 7 px, 0.3 counts": lambda: spheres(7.0, 0.3),
    "spheres of 7 px, 1e5 counts": lambda: spheres(7.0, 1e5),
    "four spheres of 3 px": few_spheres,
    "four spheres of 3 px, few counts": lambda: (
        np.random.default_rng(1).poisson(few_spheres() * 4 + 1).astype(np.float32)
    ),
    "atoms": atoms,
    "atoms, floats of 1e-4 around a negative level": lambda: atoms() * np.float32(1e-4) - 1,
    "a lattice along the columns": lambda: (
        np.cos(np.arange(SIZE) * np.pi / 2) + np.random.default_rng(0).normal(0, 0.1, (9, 64, 64))
    ).astype(np.float32),
    "a crystal of atoms": crystal,
    "a crystal of atoms, noisy": lambda: (
        np.random.default_rng(6).poisson(crystal() + 20).astype(np.float32)
    ),
    "nothing but counts": lambda: (
        np.random.default_rng(2).poisson(0.1, (13, SIZE, SIZE)).astype(np.float32)
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_images_stay_bit_for_bit(name: str) -> None:
    images = SOUND[name]()
    repaired, repairs = repair_pixels(images)
    assert repairs == Repairs()
    assert repaired is images


@dataclass(frozen=True)
class Fault:
    name: str
    spoil: Callable[[Images], None]
    repairs: Repairs
    within: float = 0.1
    """Largest mean error of the repaired pixels, as a fraction of the signal."""


def spikes(images: Images) -> None:
    """Two spikes in each image, of the assembly's signal and more."""
    rng = np.random.default_rng(8)
    for image in images:
        for row, column in rng.choice(15, (2, 2), replace=False) * 4 + 2:
            image[row, column] += 1000 * rng.uniform(1, 8)


def at(value: float, *place: object) -> Callable[[Images], None]:
    def spoil(images: Images) -> None:
        images[place] = value

    return spoil


def brighter(factor: float, *place: object) -> Callable[[Images], None]:
    def spoil(images: Images) -> None:
        images[:, *place] *= factor

    return spoil


def flyback(images: Images) -> None:
    images[:, :, :3] += np.array([3000, 1000, 300], np.float32)


def masked(images: Images) -> None:
    images[:, :4], images[:, :, -7:] = 0, 0


FAULTS = [
    Fault("stuck pixels", at(65535, slice(None), [9, 30, 33], [5, 34, 40]), Repairs(stuck=3)),
    Fault("dead pixels", at(0, slice(None), [9, 31], [5, 33]), Repairs(stuck=2)),
    Fault("spikes", spikes, Repairs(spikes=26)),
    Fault("a streak of three pixels", at(9000, 4, 40, slice(20, 23)), Repairs(spikes=3)),
    Fault("a dead column", at(0, slice(None), slice(None), 30), Repairs(lines=1)),
    Fault("a dead row in one image", at(0, 3, 25), Repairs(lines=1), within=0.12),
    Fault("a bright first column", brighter(30, slice(None), 0), Repairs(border_lines=1)),
    Fault("flyback over three columns", flyback, Repairs(border_lines=3)),
    Fault("bright last rows", brighter(9, slice(-2, None)), Repairs(border_lines=2)),
    # one more pixel than masked on either side: interpolation may have mixed it with the frame
    Fault("a masked border", masked, Repairs(padding=13 * (64 * 64 - 59 * 56))),
    Fault("pixels not finite", at(np.nan, 5, slice(10, 14), slice(10, 15)), Repairs(not_finite=20)),
    Fault("three dead rows", at(0, 3, slice(25, 28)), Repairs(blocks=3 * SIZE), within=0.2),
    Fault("three saturated rows", at(65535, 3, slice(25, 28)), Repairs(blocks=3 * SIZE), 0.2),
    Fault("columns not finite", at(np.inf, 2, slice(None), [0, 1]), Repairs(not_finite=128)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_wrong_pixels_are_repaired_and_counted(fault: Fault) -> None:
    sound = spheres(5.0, 1000)
    images = sound.copy()
    fault.spoil(images)
    repaired, repairs = repair_pixels(images)
    assert repairs == fault.repairs
    wrong = images != sound
    assert np.abs(repaired - sound)[wrong].mean() < fault.within * 1000
    changed = repaired != images
    assert changed[wrong].all()
    assert (changed & ~wrong).sum() <= (repairs.padding - wrong.sum() if repairs.padding else 0)


LOST: dict[str, Callable[[Images], None]] = {
    "most pixels not finite": at(np.nan, 4, slice(40)),
    "rows not finite": at(np.nan, 4, slice(24, 36)),
    "columns not finite": at(np.inf, 4, slice(None), slice(24, 36)),
    "a hole in the object": at(np.nan, 4, slice(26, 38), slice(26, 38)),
    "rows of zeros": at(0, 4, slice(24, 36)),
    "saturated rows": at(65535, 4, slice(24, 36)),
    "a block of zeros": at(0, 4, slice(26, 38), slice(26, 38)),
}


@pytest.mark.parametrize("spoil", LOST.values(), ids=LOST.keys())
def test_an_image_without_a_part_of_its_object_is_lost_and_nothing_is_invented(
    spoil: Callable[[Images], None],
) -> None:
    images = spheres(5.0, 1000)
    sound = images.copy()
    spoil(images)
    repaired, repairs = repair_pixels(images)
    assert repairs == Repairs(lost=(4,))
    assert np.isnan(repaired[4]).all()
    others = np.arange(len(ANGLES)) != 4
    np.testing.assert_array_equal(repaired[others], sound[others])


@pytest.mark.parametrize("value", [np.nan, 0])
def test_a_missing_block_of_the_background_costs_no_image(value: float) -> None:
    images = spheres(5.0, 1000)
    images[4, 2:14, 2:14] = value
    repaired, repairs = repair_pixels(images)
    assert repairs.lost == ()
    assert np.abs(repaired[4, 2:14, 2:14] - np.median(images[3, 2:14, 2:14])).max() < 100


def test_a_single_frame_is_repaired_without_the_others() -> None:
    sound = spheres(5.0, 1000)[3]
    frame = sound.copy()
    frame[[9, 30], [5, 34]], frame[:, 0] = 65535, 5000
    assert np.abs(repair_image(frame) - sound).max() < 250
    assert repair_image(sound) is not frame


def test_a_large_image_is_repaired_like_a_small_one() -> None:
    """Its noise and the medians of its lines are measured in a part of it."""
    sound = np.tile(np.pad(spheres(5.0, 1000)[:1], ((0, 0), (8, 8), (8, 8)), "wrap"), (1, 14, 14))
    images = sound.copy()
    images[0, 500:510:3, 700] += 20000
    images[0, :, 0], images[0, 333] = 5000, 5000
    repaired, repairs = repair_pixels(images)
    assert repairs == Repairs(spikes=4, lines=1, border_lines=1)
    wrong = images != sound
    assert np.abs(repaired - sound)[wrong].mean() < 100
    assert not (repaired != images)[~wrong].any()


def test_the_note_counts_the_repairs() -> None:
    images = spheres(5.0, 1000)
    images[:, 9, 5] = 65535
    images[2, 30, 31] = 65535
    series = prepare_series(TiltSeries(images, ANGLES, 0.9))
    assert series.notes == ("series A: repaired 1 stuck pixel, 1 spike",)
    assert series.doubts == ()


@pytest.mark.parametrize("counts", [0, 1000, 20])
def test_inverted_contrast_is_named_doubted_and_undone(counts: float) -> None:
    sound = spheres(5.0, counts)
    series = prepare_series(TiltSeries(5000 - sound, ANGLES, 0.9))
    assert "darker than the background" in series.notes[0]
    assert "inverted contrast" in series.doubts[0]
    np.testing.assert_allclose(series.images, sound - 5000)


def full_field() -> Images:
    """An assembly larger than the field, and one that leaves a dark frame."""
    return spheres(5.0, 1000, radius=29.0)


@pytest.mark.parametrize(
    "images", [few_spheres, atoms, full_field, lambda: spheres(5.0, 1000)[:, 8:-8, 8:-8]]
)
def test_bright_particles_are_not_inverted(images: Callable[[], Images]) -> None:
    taken = images()
    series = prepare_series(TiltSeries(taken, np.linspace(-60, 60, len(taken)), 0.9))
    assert series.images is taken
    assert series.notes == series.doubts == ()
