"""Images as characters: each cell shows its samples."""

from __future__ import annotations

import numpy as np
import pytest
from textual.strip import Strip

from controller.ui.tui.raster import SHADES, Box, crop_one_to_one, fit, raster

WHITE, BLACK = 255, 0


def shades(strips: list[Strip]) -> np.ndarray:
    """Return the grey level of each sample, two per cell in each direction."""
    quadrants = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
    rows = []
    for strip in strips:
        upper, lower = [], []
        for text, style, _ in strip:
            assert style is not None and style.color is not None and style.bgcolor is not None
            levels = style.bgcolor.triplet[0], style.color.triplet[0]  # type: ignore[index]
            for glyph in text:
                bits = quadrants.index(glyph)
                upper += [levels[bits & 1], levels[bits >> 1 & 1]]
                lower += [levels[bits >> 2 & 1], levels[bits >> 3 & 1]]
        rows += [upper, lower]
    return np.array(rows)


@pytest.mark.parametrize("bits", range(16))
def test_each_pattern_of_four_samples_has_its_character(bits: int) -> None:
    lit = [WHITE if bits >> i & 1 else BLACK for i in range(4)]
    image = np.zeros((4, 4), np.uint8)
    image[:2, :2] = np.reshape(lit, (2, 2))[::-1]  # row 0 is the bottom
    image[2, 2], image[3, 3] = WHITE, BLACK  # both ends of the range are there
    shown = shades(raster(image, Box(2, 2)))
    assert (shown[2:, :2] == np.reshape(lit, (2, 2))).all()


def test_a_smooth_image_is_shown_within_two_shades() -> None:
    y, x = np.mgrid[:64, :96]
    image = (x + 1.5 * y).astype(np.uint8)
    shown = shades(raster(image, Box(16, 48)))
    wanted = image[::-1].reshape(32, 2, 96).mean(axis=1)
    wanted = 255 * (wanted - wanted.min()) / np.ptp(wanted)
    assert np.abs(shown - wanted).mean() < 1.5 * 255 / SHADES


@pytest.mark.parametrize("shape", [(5, 7), (100, 31), (512, 512)])
def test_any_size_fits_any_box_and_keeps_its_mean(shape: tuple[int, int]) -> None:
    image = np.full(shape, 90, np.uint8)
    image[: shape[0] // 2] = 200
    strips = raster(image, Box(7, 13))
    assert [strip.cell_length for strip in strips] == [13] * 7
    assert shades(strips)[0].mean() == 0 and shades(strips)[-1].mean() == 255


def test_cells_of_the_same_shades_are_one_segment() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[24:40, 24:40] = WHITE
    pieces = [len(list(strip)) for strip in raster(image, Box(16, 32))]
    assert max(pieces) == 3 and pieces[0] == 1


@pytest.mark.parametrize(
    ("shape", "room", "box"),
    [
        ((100, 100), Box(20, 80), Box(20, 40)),
        ((100, 100), Box(40, 20), Box(10, 20)),
        ((50, 200), Box(20, 80), Box(10, 80)),
        ((10, 1000), Box(20, 80), Box(1, 80)),
    ],
)
def test_the_image_keeps_its_aspect(shape: tuple[int, int], room: Box, box: Box) -> None:
    assert fit(shape, room) == box


def test_one_to_one_shows_the_middle_of_the_image() -> None:
    image = np.arange(100 * 100, dtype=np.uint32).reshape(100, 100).astype(np.uint8)
    cropped = crop_one_to_one(image, Box(10, 30))
    assert cropped.shape == (20, 30)
    assert (cropped == image[40:60, 35:65]).all()
